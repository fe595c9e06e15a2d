/** What a process of its own measures. */
export interface Job {
  readonly variant: "effect-saga" | "DBOS" | "Effect Cluster" | "raw" | "one row"
  /** Whether the third step of each saga fails. */
  readonly fails: boolean
  readonly inFlight: number
  /** How many are in flight while the code gets warm. */
  readonly warmUpInFlight: number
  /** Milliseconds. */
  readonly warmUp: number
  readonly measure: number
  /** The main process of the server, where it runs on this machine. */
  readonly server: number | undefined
}

export interface Result {
  /** Sagas per second. */
  readonly rate: number
  /** Milliseconds from the call that starts a saga to its result. */
  readonly p50: number
  readonly p99: number
  /** Transactions that wrote, per saga. */
  readonly commits: number
  /** Rows that were inserted or updated, per saga. */
  readonly rows: number
  /** Bytes in the write-ahead log, per saga. */
  readonly log: number
  /** Microseconds of processor time per saga, of this process and of all processes of the server. */
  readonly client: number
  readonly server: number | undefined
}
