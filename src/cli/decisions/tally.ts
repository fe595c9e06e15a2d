import type { Result } from "./many.ts"

/** Numbers of what became of many. Several decisions may be on one execution. */
export interface Tally {
  readonly executions: number
  /** Done, or planned. */
  readonly decisions: number
  readonly refused: number
  /** The first refusals. */
  readonly reasons: ReadonlyArray<string>
  /** What may still be done. */
  readonly unanswered: number
  /** The first executions of these. */
  readonly unansweredIds: ReadonlyArray<string>
  readonly notAsked: number
}

const maxShown = 5

/** Counts results as they come in. */
export class Counter implements Tally {
  private readonly ids = new Set<string>()
  private readonly messages: Array<string> = []
  private readonly open = new Set<string>()
  decisions = 0
  refused = 0
  unanswered = 0
  notAsked = 0

  get executions(): number {
    return this.ids.size
  }

  get reasons(): ReadonlyArray<string> {
    return this.messages
  }

  get unansweredIds(): ReadonlyArray<string> {
    return Array.from(this.open)
  }

  add({ id, outcome }: Result): void {
    switch (outcome._tag) {
      case "Planned":
      case "Done":
        this.decisions++
        this.ids.add(id)
        return
      case "Refused":
        this.refused++
        if (this.messages.length < maxShown) this.messages.push(`${outcome.error.message}${outcome.hint ?? ""}`)
        return
      case "Unanswered":
        this.unanswered++
        if (this.open.size < maxShown) this.open.add(id)
        return
      case "NotAsked":
        this.notAsked++
    }
  }
}
