import type * as Model from "./timelineModel.ts"
import { type Context, more, type Placed, type Row, rowOf, select, table } from "./timelineRows.ts"
import { type Line, line } from "./timelineText.ts"

/* What happened, as a tree of the savepoints, branches and nested sagas in which it did. */

export const forwardSection = (context: Context): ReadonlyArray<Line> => {
  const entries = context.timeline.entries.filter(isForward)
  const { chosen, left } = select(entries)
  const unwinds = new Map(
    context.timeline.entries.flatMap((entry) =>
      entry._tag === "Unwind" && entry.compensationOf === null ? [[entry.scope, entry]] : []
    )
  )
  const rows = rowsOf(treeOf(chosen), 0, context, unwinds)
  return [
    line(["bold", "What happened"]),
    ...(entries.length === 0 ? [line(["dim", "  No step has started."])] : table(rows, context)),
    ...more(left, context)
  ]
}

const isForward = (entry: Model.Entry): entry is Placed => {
  switch (entry._tag) {
    case "Step":
    case "Timer":
    case "SignalWait":
    case "Value":
    case "Child":
      return entry.compensationOf === null
    case "Commit":
      return true
    case "Signal":
      // Of the others the wait tells.
      return entry.consumedBy === null
    default:
      return false
  }
}

interface Place {
  /** Its path, and what of that is to be shown in the place around it. */
  readonly path: string
  readonly name: string
  readonly children: Array<Place | Placed>
  readonly places: Map<string, Place>
}

const maxDepth = 6

/* Where a name has a slash, it makes a place, too. */
const treeOf = (entries: ReadonlyArray<Placed>): Place => {
  const root = placeAt("", "")
  for (const entry of entries) {
    let place = root
    for (const name of "path" in entry ? entry.path.split("/").slice(0, -1).slice(0, maxDepth) : []) {
      let inner = place.places.get(name)
      if (inner === undefined) {
        inner = placeAt(place.path === "" ? name : `${place.path}/${name}`, name)
        place.places.set(name, inner)
        place.children.push(inner)
      }
      place = inner
    }
    place.children.push(entry)
  }
  return root
}

const placeAt = (path: string, name: string): Place => ({ path, name, children: [], places: new Map() })

const rowsOf = (
  place: Place,
  depth: number,
  context: Context,
  unwinds: ReadonlyMap<string, Model.Unwind>
): ReadonlyArray<Row> =>
  place.children.flatMap((child): ReadonlyArray<Row> => {
    const inset = "  ".repeat(depth)
    if ("_tag" in child) {
      const row = rowOf(child, context)
      const name = "path" in child ? child.path.slice(place.path === "" ? 0 : place.path.length + 1) : row.name
      return [{ ...row, name: `${inset}${name}` }]
    }
    const unwind = unwinds.get(child.path)
    const header: Row = {
      mark: unwind === undefined ? " " : "↶",
      style: unwind === undefined ? "dim" : unwind.state === "Finished" ? "yellow" : "cyan",
      at: unwind?.at ?? null,
      name: `${inset}${child.name}`,
      millis: unwind === undefined ? null : (unwind.endedAt ?? context.now) - unwind.at,
      words: unwind === undefined ? "" : unwind.state === "Finished" ? "was undone, see below" : "is being undone",
      below: []
    }
    return [header, ...rowsOf(child, depth + 1, context, unwinds)]
  })
