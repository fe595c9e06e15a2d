import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { decode } from "../internal/decode.ts"
import {
  type Counts,
  type EarlySignal,
  type EndedExecution,
  ExecutionRecord,
  type Request,
  Status,
  type StoredExecution
} from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { corrupt } from "./failure.ts"
import type { Row } from "./session.ts"
import type { Settings } from "./settings.ts"

export { decode } from "../internal/decode.ts"

/* Numbers come as what JavaScript calls one: whole where it can hold them, and else refused by the schema. */

/** What there is of an execution `e` in its own row. */
export const recordColumns = `
  e.key::float8 AS key, e.id, e.definition, e.version::float8 AS version, e.status, e.cancelled, e.reason, e.error,
  coalesce(e.attributes, '{}') AS attributes, e.parent, e.created_at::float8 AS "createdAt",
  e.updated_at::float8 AS "updatedAt"`

const RecordRow = Schema.Struct({
  ...ExecutionRecord.fields,
  attributes: Schema.fromJsonString(ExecutionRecord.fields.attributes)
})

const JournalRow = Schema.Struct({
  ...RecordRow.fields,
  numbers: Schema.Array(Schema.Int),
  events: Schema.Array(Schema.String)
})

const EndedRow = Schema.Struct({ ...RecordRow.fields, event: Schema.String })

const RequestRow = Schema.Struct({ id: Schema.String, execution: Schema.String, request: Schema.String })

const CountRows = Schema.Tuple([Schema.Struct({ count: Schema.Int })])

const group = { status: Status, count: Schema.Int }

/* Parts of one row, so that they are of one moment. */
const CountsRows = Schema.Tuple([
  Schema.Struct({
    groups: Schema.fromJsonString(Schema.Array(Schema.Struct({ definition: Schema.String, ...group }))),
    oldestParked: Schema.NullOr(Schema.fromJsonString(RecordRow)),
    started: Schema.Int,
    ended: Schema.fromJsonString(Schema.Array(Schema.Struct(group)))
  })
])

const AnswerRow = Schema.Struct({ request: Schema.String, answer: Schema.String })

const SignalRow = Schema.Struct({ execution: Schema.String, event: Schema.String })

/** The row of the owner. */
export const OwnerRow = Schema.Struct({
  epoch: Schema.Int,
  store: Schema.String,
  claim: Schema.String,
  name: Schema.String,
  host: Schema.String,
  pid: Schema.Int,
  process: Schema.String,
  acquiredAt: Schema.Int,
  beats: Schema.Int,
  isReleased: Schema.Boolean,
  /** For how long there has been no beat, in milliseconds, by the clock of the server. Shorter where the server was away. */
  silence: Schema.Finite
})

export type OwnerRow = typeof OwnerRow.Type

type Decoded<A> = Effect.Effect<ReadonlyArray<A>, SagaStoreError>

export const decodeRecords: (store: string, rows: ReadonlyArray<Row>) => Decoded<ExecutionRecord> = decode(
  Schema.Array(RecordRow)
)

export const decodeSignals: (store: string, rows: ReadonlyArray<Row>) => Decoded<EarlySignal> = decode(
  Schema.Array(SignalRow)
)

export const decodeRequests: (store: string, rows: ReadonlyArray<Row>) => Decoded<Request> = decode(
  Schema.Array(RequestRow)
)

export const decodeAnswers: (store: string, rows: ReadonlyArray<Row>) => Decoded<typeof AnswerRow.Type> = decode(
  Schema.Array(AnswerRow)
)

const decodeCountRows = decode(CountRows)

export const decodeCount = (store: string, rows: ReadonlyArray<Row>): Effect.Effect<number, SagaStoreError> =>
  Effect.map(decodeCountRows(store, rows), ([{ count }]) => count)

const decodeCountsRows = decode(CountsRows)

export const decodeCounts = (store: string, rows: ReadonlyArray<Row>): Effect.Effect<Counts, SagaStoreError> =>
  Effect.map(decodeCountsRows(store, rows), ([{ ended, groups, oldestParked, started }]) => {
    const endedAs = (status: Status) => ended.find((one) => one.status === status)?.count ?? 0
    return {
      groups: groups.toSorted((one, other) =>
        one.definition === other.definition
          ? Status.literals.indexOf(one.status) - Status.literals.indexOf(other.status)
          : one.definition < other.definition
          ? -1
          : 1
      ),
      oldestParked: oldestParked ?? undefined,
      started,
      ended: { Completed: endedAs("Completed"), Compensated: endedAs("Compensated"), Failed: endedAs("Failed") }
    }
  })

const decodeIdRows = decode(Schema.Array(Schema.Struct({ id: Schema.String })))

export const decodeIds = (store: string, rows: ReadonlyArray<Row>): Decoded<string> =>
  Effect.map(decodeIdRows(store, rows), (all) => all.map(({ id }) => id))

const decodeEndedRows = decode(Schema.Array(EndedRow))

export const decodeEnded = (store: string, rows: ReadonlyArray<Row>): Decoded<EndedExecution> =>
  Effect.map(decodeEndedRows(store, rows), (all) => all.map(({ event, ...record }) => ({ record, event })))

const decodeJournalRows = decode(Schema.Array(JournalRow))

export const decodeJournals = (settings: Settings, rows: ReadonlyArray<Row>): Decoded<StoredExecution> =>
  Effect.flatMap(
    decodeJournalRows(settings.store, rows),
    Effect.forEach(({ events, numbers, ...record }) => {
      const gap = numbers.findIndex((number, index) => number !== index + 1)
      return gap === -1
        ? Effect.succeed({ record, events })
        : corrupt(settings, `event ${gap + 1} of execution ${record.id} is missing`)
    })
  )

const decodeOwners = decode(Schema.Array(OwnerRow))

export const decodeOwner = (settings: Settings, rows: ReadonlyArray<Row>): Effect.Effect<OwnerRow, SagaStoreError> =>
  Effect.flatMap(
    decodeOwners(settings.store, rows),
    ([owner]) => owner === undefined ? corrupt(settings, "the row of the owner is missing") : Effect.succeed(owner)
  )
