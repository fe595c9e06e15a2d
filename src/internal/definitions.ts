import type { Definition } from "./definition.ts"
import type { ExecutionRecord } from "./store.ts"

/** The definitions whose executions an engine runs. */
export class Definitions {
  private readonly byKey = new Map<string, Definition>()

  add(definition: Definition): void {
    this.byKey.set(definitionKey(definition), definition)
  }

  remove(definition: Definition): void {
    this.byKey.delete(definitionKey(definition))
  }

  /** The one that an execution began with; undefined where it is not registered. */
  of(record: ExecutionRecord): Definition | undefined {
    return this.byKey.get(definitionKey({ name: record.definition, version: record.version }))
  }

  /** Which versions there are of this name. */
  versionsOf(name: string): ReadonlyArray<number> {
    return Array.from(this.byKey.values()).filter((definition) => definition.name === name).map(({ version }) =>
      version
    )
  }
}

/** Names a definition among all that an engine runs. */
export const definitionKey = ({ name, version }: { readonly name: string; readonly version: number }): string =>
  `${name}@${version}`
