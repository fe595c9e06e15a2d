/// <reference types="node" />
import type * as PgConnection from "@effect/sql-pg/PgConnection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { ConnectionOptions } from "node:tls"
import * as Check from "../internal/check.ts"
import { guarded } from "../internal/guard.ts"

/**
 * Choices for a store in PostgreSQL. Where the server is, is said by `url` or by its parts; a part that is given beside
 * the url wins.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Such as `postgres://user:password@host:5432/database?sslmode=require`. */
  readonly url?: Redacted.Redacted | undefined
  /** Default `localhost`. A folder, with a leading slash, is where the socket of a local server is. */
  readonly host?: string | undefined
  /** Default 5432. */
  readonly port?: number | undefined
  /** Default the name of the user. */
  readonly database?: string | undefined
  readonly username?: string | undefined
  /** An effect is run for each new connection, as for tokens that expire. */
  readonly password?: Redacted.Redacted | Effect.Effect<Redacted.Redacted> | undefined
  /** Whether connections are encrypted, or how. Default `false`, or what `sslmode` in the url says. */
  readonly ssl?: boolean | ConnectionOptions | undefined
  /**
   * The schema that has the tables. Default `effect_saga`. Stores in schemas of their own have nothing to do with each
   * other.
   */
  readonly schema?: string | undefined
  /** What the server calls these connections in its lists and logs. Default `effect-saga`. */
  readonly applicationName?: string | undefined
  /**
   * How many connections there may be to read, to ask and to prune. Default 3. Beside these, an engine has one for its
   * journal, one for its signs of life and one to listen; a client has one to listen.
   */
  readonly maxConnections?: number | undefined
  /**
   * For how long a call tries again by itself while the server is away, restarts, or has no connection free. Default 15
   * seconds. It fails after that, and may be repeated.
   */
  readonly retryFor?: Duration.Input | undefined
  /**
   * Whether tables are created, and upgraded to this version. Default `true`. With `false` a store that is not there, or has
   * an earlier version, is not opened, and stays as it is.
   */
  readonly migrate?: boolean | undefined
}

export interface Settings {
  /** What people call the store. */
  readonly store: string
  readonly schema: string
  /** As far as they are known: the server, or the system, may have to say. */
  readonly user: string | undefined
  readonly database: string | undefined
  readonly connection: PgConnection.Config
  readonly maxConnections: number
  /** In milliseconds. */
  readonly retryFor: number
  readonly migrate: boolean
}

const keys = [
  "url",
  "host",
  "port",
  "database",
  "username",
  "password",
  "ssl",
  "schema",
  "applicationName",
  "maxConnections",
  "retryFor",
  "migrate"
]

/** Checks the options of `where`. No message has the url or the password. */
export const fromOptions = (where: string, options: Options): Settings => {
  Check.requiredOptions(where, options)
  Check.keys(where, options, keys)
  const { maxConnections = 3, migrate = true, password, port, schema = "effect_saga", ssl, url } = options
  for (const name of ["host", "database", "username", "applicationName"] as const) {
    if (options[name] !== undefined) Check.text(`${where}: ${name}`, options[name])
  }
  if (port !== undefined) checkPort(`${where}: port`, port)
  if (url !== undefined && !Redacted.isRedacted(url)) {
    throw new RangeError(`${where}: url has to be Redacted, as by Redacted.make or Config.Redacted`)
  }
  if (password !== undefined && !Redacted.isRedacted(password) && !Effect.isEffect(password)) {
    throw new RangeError(`${where}: password has to be Redacted, as by Redacted.make or Config.Redacted, or an Effect`)
  }
  if (ssl !== undefined && typeof ssl !== "boolean" && (typeof ssl !== "object" || ssl === null)) {
    throw new RangeError(`${where}: ssl has to be true, false, or options of node:tls`)
  }
  checkSchema(where, schema)
  Check.integer(`${where}: maxConnections`, maxConnections)
  Check.flag(`${where}: migrate`, migrate)
  const retryFor = Check.duration(`${where}: retryFor`, options.retryFor) ?? Duration.seconds(15)

  const address = url === undefined ? undefined : parse(where, url)
  const host = options.host ?? address?.host ?? "localhost"
  const user = options.username ?? address?.user
  const database = options.database ?? address?.database ?? user
  const at = `${host}:${port ?? address?.port ?? 5432}`
  return {
    store: `PostgreSQL schema "${schema}"${database === undefined ? "" : ` of database "${database}"`} on ${at}`,
    schema,
    user,
    database,
    connection: {
      url,
      host: options.host,
      port,
      database: options.database,
      username: options.username,
      password,
      ssl,
      applicationName: options.applicationName ?? "effect-saga",
      // A row with a journal may be as large as the server can make it.
      maxMessageSize: 2 ** 30,
      keepAlive: "10 seconds"
    },
    maxConnections,
    retryFor: Duration.toMillis(retryFor),
    migrate
  }
}

const checkPort = (where: string, port: unknown): void => {
  if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 65_535) {
    throw new RangeError(`${where} has to be a whole number from 1 to 65535, but is ${String(port)}`)
  }
}

/* A name that needs no care anywhere, and leaves room for what is made of it. */
const checkSchema = (where: string, schema: unknown): void => {
  if (typeof schema !== "string" || !/^[a-z_][a-z0-9_]{0,47}$/i.test(schema) || /^pg_/i.test(schema)) {
    const actual = typeof schema === "string" ? JSON.stringify(schema.slice(0, 80)) : String(schema)
    throw new RangeError(
      `${where}: schema has to be a name of at most 48 letters, digits and underscores, without a digit or pg_ ` +
        `in front, but is ${actual}`
    )
  }
}

const sslModes = [null, "disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

/* The driver reads the url again; here it is found out what to call the store, and what the driver would not take. */
const parse = (where: string, redacted: Redacted.Redacted) => {
  const reject = (expected: string): never => {
    throw new RangeError(`${where}: url ${expected}`)
  }
  const text = Redacted.value(redacted)
  const url = guarded(() => new URL(text))
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol)) {
    return reject("has to be like postgres://user:password@host:5432/database, with %-codes for signs in the password")
  }
  // Else a part of the password would pass for a name.
  if (url.username === "" && text.includes("@")) {
    return reject("has to have %-codes for the signs in its password: %2F for a slash, %23 for #, %3F for ?")
  }
  const parameters = url.searchParams
  if (!sslModes.includes(parameters.get("sslmode"))) {
    return reject(`has to have a sslmode of ${sslModes.slice(1).join(", ")}`)
  }
  const timeout = Number(parameters.get("connect_timeout"))
  if (!Number.isInteger(timeout) || timeout < 0) return reject("has to have a connect_timeout in whole seconds")
  const port = parameters.get("port") ?? url.port
  if (port !== "") checkPort(`${where}: the port in url`, Number(port))
  const parts = guarded(() => ({
    host: parameters.get("host") ?? decodeURIComponent(url.hostname),
    user: parameters.get("user") ?? decodeURIComponent(url.username),
    database: parameters.get("dbname") ?? decodeURIComponent(url.pathname.slice(1)),
    password: decodeURIComponent(url.password)
  }))
  if (parts === undefined) return reject("has a % that is no %-code")
  return {
    host: parts.host === "" ? undefined : parts.host,
    port: port === "" ? undefined : Number(port),
    user: parts.user === "" ? undefined : parts.user,
    database: parts.database === "" ? undefined : parts.database
  }
}
