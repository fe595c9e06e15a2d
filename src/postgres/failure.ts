import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import { guarded } from "../internal/guard.ts"
import { AccessDenied, Corrupt, Incompatible, SagaStoreError, Unavailable } from "../SagaStoreError.ts"
import type { Settings } from "./settings.ts"
import { messageOf, stateOf } from "./sqlFailure.ts"

/*
 * What failures of SQL mean for the store. Only what the server said goes on, in errors of our own: those of a driver may
 * hold its settings.
 */

export type Failure =
  /** It may have passed at the next attempt. */
  | { readonly _tag: "Passing"; readonly problem: "busy" | "can't be reached" }
  /** It lasts until somebody does something, and then the same call succeeds. */
  | { readonly _tag: "Lasting"; readonly problem: "full" | "read-only" | "input-output" }
  | { readonly _tag: "Denied"; readonly missing: AccessDenied["missing"]; readonly detail: string }
  /** The tables are not there, or not as they were made. */
  | { readonly _tag: "Damaged" }
  /** What was to be written is there already. */
  | { readonly _tag: "Taken" }
  /** A mistake in this library, or in who uses it. */
  | { readonly _tag: "Defect" }

const busy: Failure = { _tag: "Passing", problem: "busy" }
const away: Failure = { _tag: "Passing", problem: "can't be reached" }
const damaged: Failure = { _tag: "Damaged" }
const defect: Failure = { _tag: "Defect" }

/* By the code that the server gives, or by the class that its first two characters say. */
const failures: Readonly<Record<string, Failure>> = {
  "08": away,
  "40": busy,
  "42": damaged,
  "53": busy,
  "57": away,
  "XX": { _tag: "Lasting", problem: "input-output" },
  "0A000": damaged, // the type of a column has changed
  "22021": defect,
  "23505": { _tag: "Taken" },
  "23P01": { _tag: "Taken" },
  "25006": { _tag: "Lasting", problem: "read-only" },
  "25P03": away,
  "25P04": away,
  "3F000": damaged,
  "53100": { _tag: "Lasting", problem: "full" },
  "53300": away,
  "55P03": busy,
  "57014": busy,
  "58030": { _tag: "Lasting", problem: "input-output" },
  "58P01": { _tag: "Lasting", problem: "input-output" },
  "XX001": damaged,
  "XX002": damaged
}

export const failureOf = (settings: Settings, error: SqlError): Failure => {
  const state = stateOf(error)
  const isConnecting = error.reason.operation === "connect"
  if (state === undefined) {
    if (isConnecting) return deniedByClient(settings, error) ?? away
    return error.reason._tag === "ConnectionError" ? away : isRow(error) ? damaged : defect
  }
  return deniedByServer(settings, error, state, isConnecting) ?? failures[state] ?? failures[state.slice(0, 2)] ??
    defect
}

/** Whether a connection is of no use any more after this. */
export const endsSession = ({ _tag, ...failure }: Failure): boolean =>
  "problem" in failure && (failure.problem === "can't be reached" || failure.problem === "read-only")

const isRow = (error: SqlError): boolean => error.reason.message?.includes("decode row") === true

/* ------------------------------------------------------------------------------------------------ errors */

/** Fails with what a failure means for the store, or dies of it. */
export const toStoreError = (
  settings: Settings,
  failure: Failure,
  error: SqlError
): Effect.Effect<never, SagaStoreError> => {
  const { store } = settings
  switch (failure._tag) {
    case "Passing":
    case "Lasting":
      return unavailable(settings, failure.problem, causeOf(error))
    case "Denied":
      return denied(settings, failure.missing, failure.detail)
    case "Damaged":
      return Effect.fail(
        new SagaStoreError({ reason: new Corrupt({ store, detail: messageOf(error), cause: causeOf(error) }) })
      )
    case "Taken":
    case "Defect":
      return Effect.die(causeOf(error))
  }
}

export const unavailable = (
  { store }: Settings,
  problem: Unavailable["problem"],
  cause?: unknown
): Effect.Effect<never, SagaStoreError> =>
  Effect.fail(new SagaStoreError({ reason: new Unavailable({ store, problem, cause }) }))

export const denied = (
  { store }: Settings,
  missing: AccessDenied["missing"],
  detail: string
): Effect.Effect<never, SagaStoreError> =>
  Effect.fail(new SagaStoreError({ reason: new AccessDenied({ store, missing, detail }) }))

export const corrupt = ({ store }: Settings, detail: string): Effect.Effect<never, SagaStoreError> =>
  Effect.fail(new SagaStoreError({ reason: new Corrupt({ store, detail, cause: undefined }) }))

export const incompatible = ({ store }: Settings, detail: string): Effect.Effect<never, SagaStoreError> =>
  Effect.fail(new SagaStoreError({ reason: new Incompatible({ store, detail }) }))

const causeOf = (error: SqlError): Error => {
  const code = stateOf(error) ?? codeOf(error)
  const cause = new Error(messageOf(error))
  return code === undefined ? cause : Object.assign(cause, { code })
}

/* ------------------------------------------------------------------------------------------------ access denied */

const userOf = ({ user }: Settings): string => user === undefined ? "the user" : `user "${user}"`

/* For statements to copy. */
const roleOf = ({ user }: Settings): string => user === undefined ? "the role" : `"${user}"`
const databaseOf = ({ database }: Settings): string => database === undefined ? "the database" : `"${database}"`

/** What lets a role use the tables. */
export const grantTables = (settings: Settings): string =>
  `GRANT USAGE ON SCHEMA "${settings.schema}" TO ${roleOf(settings)}; ` +
  `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "${settings.schema}" TO ${roleOf(settings)};`

/** Why a schema can't be made, and what makes it. */
export const mayNotCreateSchema = (settings: Settings): string =>
  `${userOf(settings)} may not create the schema "${settings.schema}" in the database ${
    databaseOf(settings)
  }. Let an ` +
  `administrator create it: CREATE SCHEMA "${settings.schema}" AUTHORIZATION ${roleOf(settings)};`

/** Why tables can't be made in a schema that is there, and what allows it. */
export const mayNotCreateTables = (settings: Settings): string =>
  `${
    userOf(settings)
  } may not create or change tables in the schema "${settings.schema}". Let its owner start an engine ` +
  `once, or run: GRANT USAGE, CREATE ON SCHEMA "${settings.schema}" TO ${roleOf(settings)};`

const deny = (missing: AccessDenied["missing"], detail: string): Failure => ({ _tag: "Denied", missing, detail })

const deniedByServer = (
  settings: Settings,
  error: SqlError,
  state: string,
  isConnecting: boolean
): Failure | undefined => {
  const user = userOf(settings)
  const said = `The server says: ${messageOf(error)}.`
  switch (state) {
    case "28P01":
      return deny(
        "password",
        `the server does not accept the password of ${user}. Check it, and the name: a server says the same where there ` +
          `is no such user.`
      )
    case "28000":
      if (routineOf(error) !== "ClientAuthentication") {
        return deny(
          "user",
          `the server does not let ${user} in. ${said} Let an administrator create it: ` +
            `CREATE ROLE ${roleOf(settings)} LOGIN PASSWORD '...';`
        )
      }
      return /no encryption|SSL off/.test(messageOf(error))
        ? deny(
          "encryption",
          `the server does not let ${user} in without encryption. ${said} Set ssl: true, or sslmode=require in the url; or ` +
            `add a line to pg_hba.conf that allows it.`
        )
        : deny("user", `the server does not let ${user} in. ${said} Add a line to pg_hba.conf that allows it.`)
    case "3D000":
      return deny(
        "database",
        `there is no database ${databaseOf(settings)} on the server. Create it with ` +
          `CREATE DATABASE ${databaseOf(settings)}; or choose another one.`
      )
    case "42501":
      return isConnecting
        ? deny(
          "right",
          `${user} may not connect to the database ${databaseOf(settings)}. Let an administrator run: ` +
            `GRANT CONNECT ON DATABASE ${databaseOf(settings)} TO ${roleOf(settings)};`
        )
        : deny(
          "right",
          `${user} may not use what is in the schema "${settings.schema}". ${said} Let its owner run: ` +
            grantTables(settings)
        )
  }
  return undefined
}

/* What node:tls calls a certificate that it does not accept. */
const certificate =
  /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_|ERR_SSL_|ERR_OSSL_)/

const deniedByClient = (settings: Settings, error: SqlError): Failure | undefined => {
  if (error.reason.message?.includes("refused TLS")) {
    return deny(
      "encryption",
      "the server takes no encrypted connections. Enable them on the server; or, if nobody can listen in between, " +
        "set ssl: false, or sslmode=disable in the url."
    )
  }
  const code = codeOf(error)
  if (code !== undefined && certificate.test(code)) {
    return deny(
      "encryption",
      `the certificate of the server is not accepted: ${
        messageOf(error)
      } (${code}). Give the authority that signed it ` +
        `with ssl: { ca }, or NODE_EXTRA_CA_CERTS in the environment, and connect to a name that it is for.`
    )
  }
  if (error.reason._tag !== "AuthenticationError") return undefined
  return error.reason.message?.includes("No password")
    ? deny("password", `the server wants a password for ${userOf(settings)}, and there is none in the options.`)
    : deny("password", `the server and ${userOf(settings)} can't agree on a password: ${messageOf(error)}.`)
}

const codeOf = (error: SqlError): string | undefined => textOf(error, "code")

/* The function of the server that refused: its messages are in the language of the server. */
const routineOf = (error: SqlError): string | undefined => textOf(error, "routine")

const textOf = (error: SqlError, field: string): string | undefined =>
  guarded(() => {
    const value: unknown = Object(error.reason.cause)[field]
    return typeof value === "string" ? value : undefined
  })
