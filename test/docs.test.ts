/*
 * Runs the examples of the documentation: every `ts` block in the JSDoc of `src`, and every one in the Markdown files
 * that imports this library. Where a statement ends in `// => value`, its value has to be that one.
 */
import { glob, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import ts from "typescript6"
import { afterAll, assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "..")
// Beside `src`, because a folder in `node_modules` could not import the package by its name.
const folder = await mkdtemp(join(root, ".doc-examples-"))
afterAll(() => rm(folder, { recursive: true }))

const documents = async function*() {
  for (const pattern of ["src/**/*.ts", "README.md", "docs/**/*.md"]) yield* glob(pattern, { cwd: root })
}

const extract = (document: string, text: string) => {
  const lines = document.endsWith(".ts") ? text.replaceAll(/^ *\/?\*+\/? ?/gm, "") : text
  return Array.from(lines.matchAll(/^```ts\n(.*?)^```/gms), ({ 1: code = "", index }) => {
    const title = lines.slice(0, index).match(/.*^(?:\*\*Example\*\* \((.*?)\)|#+ (.*?))$/ms)
    return {
      code,
      title: `${document}: ${title?.[1] ?? title?.[2] ?? ""} (line ${lines.slice(0, index).split("\n").length})`
    }
  }).filter(({ code }) => document.endsWith(".ts") || /from "effect-saga"/.test(code))
}

/** Puts an assertion in the place of each statement that has a comment with its value. */
const withAssertions = (code: string): string => {
  const edits: Array<readonly [start: number, end: number, text: string]> = []
  const visit = (node: ts.Node): void => {
    const comment = ts.isStatement(node) ? ts.getTrailingCommentRanges(code, node.end)?.at(-1) : undefined
    const expected = comment && code.slice(comment.pos, comment.end).match(/^\/\/ => (.*)$/)?.[1]
    if (expected === undefined) return ts.forEachChild(node, visit)
    if (ts.isExpressionStatement(node)) {
      edits.push([node.getStart(), node.end, `$assert.deepStrictEqual(${node.expression.getText()}, (${expected}))`])
    } else if (ts.isVariableStatement(node)) {
      const [declaration] = node.declarationList.declarations
      edits.push([node.end, node.end, `\n$assert.deepStrictEqual(${declaration!.name.getText()}, (${expected}))`])
    }
  }
  visit(ts.createSourceFile("example.ts", code, ts.ScriptTarget.Latest, true))
  assert.strictEqual(edits.length, code.split("// =>").length - 1, "Not every `// =>` is at the end of a statement.")
  return edits.reduceRight((text, [start, end, edit]) => text.slice(0, start) + edit + text.slice(end), code)
}

const examples: Array<{ readonly title: string; readonly code: string; readonly file: string }> = []
for await (const document of documents()) {
  for (const example of extract(document, await readFile(join(root, document), "utf8"))) {
    const file = join(folder, `example${examples.length}.ts`)
    await writeFile(file, example.code)
    examples.push({ ...example, file })
  }
}

describe("the examples of the documentation", () => {
  for (const { code, file, title } of examples) {
    it(`${title} shows what it returns`, async () => {
      const runnable = file.replace(/\.ts$/, ".run.ts")
      await writeFile(runnable, `import { assert as $assert } from "vitest"\n${withAssertions(code)}`)
      await import(/* @vite-ignore */ runnable)
    })
  }

  it("compile", { timeout: 60_000 }, () => {
    const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile)
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
    const program = ts.createProgram(examples.map(({ file }) => file), { ...options, noUnusedLocals: false })

    const errors = ts.getPreEmitDiagnostics(program).map(({ file, messageText, start }) => {
      const example = examples.find((one) => one.file === file?.fileName)
      const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line
      return `${example?.title}, its line ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`
    })

    assert.isNotEmpty(examples)
    assert.deepStrictEqual(errors, [])
  })
})
