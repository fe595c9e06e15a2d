import * as Cause from "effect/Cause"
import * as SqlError from "effect/sql/SqlError"
import { guarded, isInstance } from "../internal/guard.ts"

/*
 * What a failure of SQL says about the transaction that it came from.
 */

export const isSqlError = (error: unknown): error is SqlError.SqlError => isInstance(error, SqlError.SqlError)

/** What the server calls the failure; `undefined` where it said nothing. */
export const stateOf = (error: SqlError.SqlError): string | undefined =>
  guarded(() => {
    const { code } = Object(error.reason.cause) as { readonly code?: unknown }
    // The codes of the system, as EPIPE, begin with an E.
    return typeof code === "string" && /^[0-9A-DF-Z][0-9A-Z]{4}$/.test(code) ? code : undefined
  })

/* Ended by an administrator, by a shutdown, or for being idle; not started yet; and no place for another connection. */
const lost: ReadonlySet<string> = new Set(["57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "53300"])

/** Whether there is no connection any more, or never was one: the server did not refuse what it was asked. */
export const isConnectionLost = (error: SqlError.SqlError): boolean =>
  error.reason._tag === "ConnectionError" || lost.has(stateOf(error) ?? "")

/** Whether the database has ended the transaction because of another one: running it again may succeed. */
export const isConflict = (error: SqlError.SqlError): boolean =>
  error.reason._tag === "DeadlockError" || error.reason._tag === "SerializationError"

/** Whether this client may not do what it asked for, or asked for what is not there. */
export const isRefused = (error: SqlError.SqlError): boolean =>
  refusals.has(error.reason._tag) || /^(28|3D|3F|42)/.test(stateOf(error) ?? "")

const refusals: ReadonlySet<string> = new Set(["AuthenticationError", "AuthorizationError", "SqlSyntaxError"])

/** Whether there is no table or schema of this name. */
export const isMissing = (error: SqlError.SqlError): boolean => /^(42P01|3F000)$/.test(stateOf(error) ?? "")

/** The failures of SQL in a cause, typed ones and those that somebody has made defects. */
export const sqlErrors = (cause: Cause.Cause<unknown>): ReadonlyArray<SqlError.SqlError> =>
  cause.reasons.flatMap((reason) => {
    const error = Cause.isFailReason(reason) ? reason.error : Cause.isDieReason(reason) ? reason.defect : undefined
    return isSqlError(error) ? [error] : []
  })

/** What went wrong, in one line, with what the server said. */
export const messageOf = (error: SqlError.SqlError): string => {
  const detail = guarded(() => (Object(error.reason.cause) as { readonly message?: unknown }).message)
  const state = stateOf(error)
  const said = typeof detail === "string" && detail !== "" ? detail : error.message
  return state === undefined ? said : `${said} (${state})`
}
