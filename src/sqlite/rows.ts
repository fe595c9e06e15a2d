import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import { decode } from "../internal/decode.ts"
import { byGroup } from "../internal/groups.ts"
import {
  type Counts,
  type EarlySignal,
  type EndedExecution,
  ExecutionRecord,
  finishedStatuses,
  type Request,
  Status,
  type StoredExecution
} from "../internal/store.ts"
import type { SagaStoreError } from "../SagaStoreError.ts"
import { corrupt } from "./errors.ts"
import type { CountRows } from "./lists.ts"
import type { Ended, Journal, Row } from "./operations.ts"

/* NULL where there are none. */
const Attributes = Schema.NullOr(Schema.fromJsonString(ExecutionRecord.fields.attributes)).pipe(
  Schema.decodeTo(ExecutionRecord.fields.attributes, {
    decode: SchemaGetter.transform((attributes) => attributes ?? {}),
    encode: SchemaGetter.transform((attributes) => attributes)
  })
)

const RecordRow = Schema.Struct({
  ...ExecutionRecord.fields,
  cancelled: Schema.BooleanFromBit,
  attributes: Attributes
}).pipe(
  Schema.encodeKeys({ createdAt: "created_at", updatedAt: "updated_at" })
)

const EventRow = Schema.Struct({ seq: Schema.Int, event: Schema.String })

const JournalRows = Schema.Struct({ execution: RecordRow, events: Schema.Array(EventRow) })

const EndedRows = Schema.Struct({ execution: RecordRow, last: Schema.Struct({ event: Schema.String }) })

const RequestRow = Schema.Struct({ id: Schema.String, execution: Schema.String, request: Schema.String })

const AnswerRow = Schema.Struct({ request: Schema.String, answer: Schema.String })

const SignalRow = Schema.Struct({ execution: Schema.String, event: Schema.String })

const CountsRows = Schema.Struct({
  groups: Schema.Array(Schema.Struct({ definition: Schema.String, status: Status, count: Schema.Int })),
  oldestParked: Schema.UndefinedOr(RecordRow),
  started: Schema.Int,
  ended: Schema.Array(Schema.Struct({ status: Schema.Literals(finishedStatuses), count: Schema.Int }))
})

const decodeCountsRows = decode(CountsRows)

export const decodeCounts = (store: string, rows: CountRows): Effect.Effect<Counts, SagaStoreError> =>
  Effect.map(decodeCountsRows(store, rows), ({ ended, groups, ...rest }) => ({
    ...rest,
    groups: groups.toSorted(byGroup),
    ended: {
      Completed: 0,
      Compensated: 0,
      Failed: 0,
      ...Object.fromEntries(ended.map(({ count, status }) => [status, count]))
    }
  }))

export const decodeRecords: (
  store: string,
  rows: ReadonlyArray<Row>
) => Effect.Effect<ReadonlyArray<ExecutionRecord>, SagaStoreError> = decode(Schema.Array(RecordRow))

export const decodeSignals: (
  store: string,
  rows: ReadonlyArray<Row>
) => Effect.Effect<ReadonlyArray<EarlySignal>, SagaStoreError> = decode(Schema.Array(SignalRow))

export const decodeRequests: (
  store: string,
  rows: ReadonlyArray<Row>
) => Effect.Effect<ReadonlyArray<Request>, SagaStoreError> = decode(Schema.Array(RequestRow))

export const decodeAnswers: (
  store: string,
  rows: ReadonlyArray<Row>
) => Effect.Effect<ReadonlyArray<typeof AnswerRow.Type>, SagaStoreError> = decode(Schema.Array(AnswerRow))

const decodeEndedRows = decode(Schema.Array(EndedRows))

export const decodeEnded = (
  store: string,
  rows: ReadonlyArray<Ended>
): Effect.Effect<ReadonlyArray<EndedExecution>, SagaStoreError> =>
  Effect.map(
    decodeEndedRows(store, rows),
    (all) => all.map(({ execution, last }) => ({ record: execution, event: last.event }))
  )

const decodeRows = decode(JournalRows)

export const decodeJournal = (store: string, journal: Journal): Effect.Effect<StoredExecution, SagaStoreError> =>
  Effect.flatMap(decodeRows(store, journal), ({ events, execution }) => {
    const gap = events.findIndex((row, index) => row.seq !== index + 1)
    return gap === -1
      ? Effect.succeed({ record: execution, events: events.map((row) => row.event) })
      : corrupt(store, `event ${gap + 1} of execution ${execution.id} is missing`, undefined)
  })
