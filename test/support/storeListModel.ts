/*
 * Random executions, random filters, and what lists have to say of them.
 */
import { Arbitrary } from "effect"
import { SagaStore } from "effect-saga"
import { recordOf } from "./storeValues.ts"
import { oneOf } from "./tree.ts"

const definitions = ["Trip", "Trip2", "Hotel", "Ä"]

/* Next to each other in orders that databases use, or special to what they match texts with. */
const ids = [
  "",
  "a",
  "a/b",
  "ab",
  "A",
  "b",
  "%",
  "_",
  "a%",
  "ä",
  "\ud7ff",
  "\ue000",
  "\uffff",
  "🚀",
  "🚀1",
  "\u{10ffff}",
  "\u{10ffff}1"
]

const errors = ["CardDeclined", "NoSeats", "carddeclined", "'"]

const attributes: ReadonlyArray<Record<string, string>> = [
  {},
  {},
  { customer: "7" },
  { customer: "7", region: "eu" },
  { customer: "77", region: "eu" },
  { region: "eu" },
  { region: "EU", constructor: "" },
  { "it's \"ä\\\n🚀": "it's \"ä\\\n🚀", customer: "" }
]

/* Few, so that many are the same; and changed before it was created is what was, where a clock is set back. */
const times = Array.from({ length: 9 }, (_, index) => 1000 + index)

export const arbitraryExecutions: Arbitrary.Arbitrary<ReadonlyArray<SagaStore.ExecutionRecord>> = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.all({
      definition: oneOf(definitions),
      id: oneOf(ids),
      status: oneOf(SagaStore.Status.literals),
      error: oneOf([null, null, ...errors]),
      attributes: oneOf(attributes),
      createdAt: oneOf(times),
      updatedAt: oneOf(times)
    }),
    { maxLength: 60 }
  ),
  (all) =>
    all.map(({ definition, id, ...rest }, index) =>
      recordOf(index + 1, { ...rest, definition, id: `${definition}/${id}${index}` })
    )
)

const sometimes = <A>(values: ReadonlyArray<A>): Arbitrary.Arbitrary<A | undefined> =>
  oneOf([...Array<undefined>(4 * values.length).fill(undefined), ...values])

const prefixes = [
  "",
  "T",
  "Trip",
  "Trip/",
  "trip/",
  "%",
  ...ids.flatMap((id) => definitions.map((definition) => `${definition}/${id}`))
]

export const arbitraryOptions: Arbitrary.Arbitrary<SagaStore.ListOptions> = Arbitrary.all({
  statuses: sometimes<ReadonlyArray<SagaStore.Status>>([
    [],
    ["Parked"],
    ["Completed", "Failed", "Completed"],
    ["Running", "Waiting", "Compensating", "Parked"],
    SagaStore.Status.literals
  ]),
  definition: sometimes([...definitions, "Car"]),
  idPrefix: sometimes(prefixes),
  createdFrom: sometimes(times),
  createdBefore: sometimes(times),
  updatedBefore: sometimes(times),
  error: sometimes([...errors, "Unheard"]),
  attributes: sometimes([...attributes, { customer: "8" }, { customer: "7", region: "EU" }]),
  limit: oneOf([1, 2, 7, 100])
})

/** Whether an execution is as it is asked for, from the words of the contract. */
export const isAsked = (filter: SagaStore.ExecutionFilter, record: SagaStore.ExecutionRecord): boolean => {
  const { createdBefore = Infinity, createdFrom = -Infinity, idPrefix = "", updatedBefore = Infinity } = filter
  return (filter.statuses ?? SagaStore.Status.literals).includes(record.status) &&
    (filter.definition ?? record.definition) === record.definition &&
    record.id.slice(0, idPrefix.length) === idPrefix &&
    record.createdAt >= createdFrom &&
    record.createdAt < createdBefore &&
    record.updatedAt < updatedBefore &&
    (filter.error ?? record.error) === record.error &&
    Object.entries(filter.attributes ?? {}).every((wanted) =>
      Object.entries(record.attributes).some(([name, value]) => name === wanted[0] && value === wanted[1])
    )
}

/** In the order of lists, the oldest first. */
export const inOrder = (records: ReadonlyArray<SagaStore.ExecutionRecord>) =>
  records.toSorted((one, other) => one.createdAt - other.createdAt || one.key - other.key)
