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
      return "something that is no folder is in its path"
    default:
      return escaped(error.message)
  }
}
