import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Corrupt, SagaStoreError } from "../SagaStoreError.ts"

/** Decodes what was read from a store; what is not as it was written is damaged. */
export const decode = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (store: string, read: unknown): Effect.Effect<S["Type"], SagaStoreError> =>
    Effect.mapError(
      decode(read),
      (error) => new SagaStoreError({ reason: new Corrupt({ store, detail: error.message, cause: error }) })
    )
}
