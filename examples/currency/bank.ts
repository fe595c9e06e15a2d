/*
 * A national bank on a loopback port. `GET /ready` tells whether it is open. `GET /rates` is overloaded twice, then gives
 * the official rates, which rise a little with each answer.
 */
import { Effect } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

export const startBank = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly open: () => void; readonly close: () => void }>((resume) => {
    let isOpen = false
    let requests = 0
    const rates = () => [
      { Cur_Abbreviation: "USD", Cur_OfficialRate: 3.2 + requests / 100, Cur_Scale: 1 },
      { Cur_Abbreviation: "EUR", Cur_OfficialRate: 3.5, Cur_Scale: 1 },
      { Cur_Abbreviation: "CNY", Cur_OfficialRate: 4.5, Cur_Scale: 10 }
    ]
    const server = createServer((request, response) => {
      const status = request.url === "/ready" ? (isOpen ? 200 : 503) : ++requests <= 2 ? 503 : 200
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(rates()))
    })
    server.listen(0, "127.0.0.1", () =>
      resume(Effect.succeed({
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        open: () => {
          isOpen = true
        },
        close: () => {
          server.close()
          server.closeAllConnections()
        }
      })))
  }),
  (bank) => Effect.sync(bank.close)
)
