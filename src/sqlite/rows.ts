import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type EarlySignal, ExecutionRecord, type StoredExecution } from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { corrupt } from "./errors.ts"
import type { Journal, Row } from "./operations.ts"

/** Decodes what was read; what is not as it was written is damaged. */
export const decode = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (store: string, row: unknown): Effect.Effect<S["Type"], SagaStoreError> =>
    Effect.catch(decode(row), (error) => corrupt(store, error.message, error))
}

const RecordRow = Schema.Struct({ ...ExecutionRecord.fields, cancelled: Schema.BooleanFromBit }).pipe(
  Schema.encodeKeys({ createdAt: "created_at", updatedAt: "updated_at" })
)

const EventRow = Schema.Struct({ seq: Schema.Int, event: Schema.String })

const JournalRows = Schema.Struct({ execution: RecordRow, events: Schema.Array(EventRow) })

const SignalRow = Schema.Struct({ execution: Schema.String, event: Schema.String })

export const decodeRecords: (
  store: string,
  rows: ReadonlyArray<Row>
) => Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError> = decode(Schema.Array(RecordRow))

export const decodeSignals: (
  store: string,
  rows: ReadonlyArray<Row>
) => Effect.Effect<ReadonlyArray<EarlySignal>, SagaStoreError> = decode(Schema.Array(SignalRow))

const decodeRows = decode(JournalRows)

export const decodeJournal = (store: string, journal: Journal): Effect.Effect<StoredExecution, SagaStoreError> =>
  Effect.flatMap(decodeRows(store, journal), ({ events, execution }) => {
    const gap = events.findIndex((row, index) => row.seq !== index + 1)
    return gap === -1
      ? Effect.succeed({ record: execution, events: events.map((row) => row.event) })
      : corrupt(store, `event ${gap + 1} of execution ${execution.id} is missing`, undefined)
  })
