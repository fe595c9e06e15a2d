import * as Effect from "effect/Effect"
import { isStorable } from "../../internal/check.ts"
import type { SagaOperator } from "../../SagaOperator.ts"
import type { SagaStoreError } from "../../SagaStoreError.ts"

const maxSimilar = 5

/** The ids that may have been meant by one that is not there: they begin with it. */
export const similarTo = (
  operator: SagaOperator["Service"],
  id: string
): Effect.Effect<ReadonlyArray<string>, SagaStoreError> =>
  id === "" || !isStorable(id)
    ? Effect.succeed([])
    : Effect.map(operator.list({ idPrefix: id, limit: maxSimilar }), (records) => records.map((record) => record.id))
