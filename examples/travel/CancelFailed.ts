import { Schema } from "effect"

/** A service did not cancel a booking. It may be asked again. */
export class CancelFailed extends Schema.TaggedError<CancelFailed>()("CancelFailed", {
  id: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.id} is not cancelled: ${this.reason}`
  }
}
