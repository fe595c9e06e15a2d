import type { PlatformError } from "effect/PlatformError"
import { escaped } from "../../internal/timelineText.ts"

/** Why a file or folder can't be used, after "because". */
export const problemOf = (error: PlatformError): string => {
  switch (error.reason._tag) {
    case "NotFound":
      return "its folder does not exist"
    case "PermissionDenied":
      return "its rights do not allow it"
    case "AlreadyExists":
    case "BadResource":
      if (codeOf(error.reason.cause) === "EISDIR") return "it is a folder"
      return "something that is no folder is in its path"
    default:
      return escaped(error.message)
  }
}

const codeOf = (cause: unknown): unknown => (Object(cause) as { readonly code?: unknown }).code
