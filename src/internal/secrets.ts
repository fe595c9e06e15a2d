import { identity } from "effect/Function"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { isMark } from "./redaction.ts"

/*
 * Schemas whose JSON form has a mark, `{"~redacted": …}`, around what they call `Redacted`.
 *
 * 1. A value that is `Redacted` in the decoded form of a schema is inside a mark in the JSON form, wherever it ends up.
 * 2. A transformation may put a secret anywhere in what it encodes to. So its whole outcome is marked, but for those that
 *    leave the value as it is.
 * 3. Where a schema has nothing that is `Redacted`, nothing changes.
 */

type AST = SchemaAST.AST
type Chain = AST & { readonly encoding: SchemaAST.Encoding }

/**
 * The schemas to encode and to decode with, each for `Schema.toCodecJson`; undefined where there are no secrets. Looks into
 * what is suspended.
 */
export const marking = <A>(
  schema: Schema.ConstraintCodec<A, unknown, never, never>
): {
  readonly toEncode: Schema.ConstraintCodec<A, unknown, never, never>
  readonly toDecode: Schema.ConstraintCodec<A, unknown, never, never>
} | undefined =>
  hasSecrets(schema.ast)
    ? { toEncode: Schema.make(toEncode(schema.ast)), toDecode: Schema.make(toDecode(schema.ast)) }
    : undefined

/* ------------------------------------------------------------------------------------------------- where secrets are */

const marked = "~effect-saga/marked"

const isMarked = (ast: AST): boolean => ast.annotations?.[marked] === true

const isSecret = (ast: AST): boolean => {
  const representation = ast._tag === "Declaration" ? ast.annotations?.representation : undefined
  return typeof representation === "object" && representation !== null && "id" in representation &&
    representation.id === "effect/schema/Redacted"
}

const known = new WeakMap<AST, boolean>()

/** Whether anything in a schema is `Redacted`. */
const hasSecrets = (ast: AST): boolean => {
  let has = known.get(ast)
  if (has === undefined) known.set(ast, has = finds(ast, new Set()))
  return has
}

const finds = (ast: AST, seen: Set<AST>): boolean => {
  if (seen.has(ast)) return false
  seen.add(ast)
  return isSecret(ast) || partsOf(ast).some((part) => finds(part, seen)) ||
    (ast.encoding ?? []).some(({ to }) => finds(to, seen))
}

/* Without what it is encoded to. */
const partsOf = (ast: AST): ReadonlyArray<AST> => {
  switch (ast._tag) {
    case "Declaration": {
      const json = ast.encoding === undefined ? linkOf(ast)?.to : undefined
      return json === undefined ? ast.typeParameters : [...ast.typeParameters, json]
    }
    case "Arrays":
      return [...ast.elements, ...ast.rest]
    case "Objects":
      return [...ast.propertySignatures, ...ast.indexSignatures].map(({ type }) => type)
    case "Union":
      return ast.types
    case "Suspend":
      return [ast.thunk()]
    default:
      return []
  }
}

type ToLink = (typeParameters: ReadonlyArray<Schema.Constraint>) => SchemaAST.Link | undefined

/* How effect finds the JSON form of a declaration. */
const toLink = (ast: SchemaAST.Declaration): ToLink | undefined => {
  const annotation = ast.annotations?.toCodecJson ?? ast.annotations?.toCodec
  // By the type of these annotations.
  return typeof annotation === "function" ? annotation as ToLink : undefined
}

const linkOf = (ast: SchemaAST.Declaration): SchemaAST.Link | undefined =>
  toLink(ast)?.(ast.typeParameters.map((parameter) => Schema.make(SchemaAST.toEncoded(parameter))))

/* ------------------------------------------------------------------------------------------------- what hides them */

const lastOf = (ast: Chain): SchemaAST.Link => ast.encoding[ast.encoding.length - 1]!

const isChain = (ast: AST): ast is Chain => ast.encoding !== undefined

/* Whether secrets can only be where the last part of the chain has them. */
const isTransparent = (ast: Chain): boolean => {
  const stages = [bodyOf(ast), ...ast.encoding.map(({ to }) => to)]
  return ast.encoding.every(({ transformation }, index) => {
    const from = stages[index]!
    return !hasSecrets(from) || (passes(transformation) && !exposes(from, new Set()))
  })
}

const passes = (transformation: SchemaAST.Link["transformation"]): boolean =>
  transformation._tag === "Middleware"
    ? transformation.encode === identity
    : transformation.encode === SchemaGetter.passthrough()

/* Whether encoding, without the JSON form, turns something `Redacted` into anything else. */
const exposes = (ast: AST, seen: Set<AST>): boolean => {
  if (seen.has(ast) || !hasSecrets(ast)) return false
  seen.add(ast)
  if (isChain(ast)) return !isTransparent(ast) || exposes(lastOf(ast).to, seen)
  if (isSecret(ast) || isClass(ast)) return false
  return (ast._tag === "Declaration" ? ast.typeParameters : partsOf(ast)).some((part) => exposes(part, seen))
}

/* An instance is encoded by what it is linked to, and not by its parameter. */
const isClass = (ast: AST): boolean =>
  ast._tag === "Declaration" && typeof ast.annotations?.["~constructor"] === "function"

const bodies = new WeakMap<AST, AST>()

const bodyOf = (ast: Chain): AST => {
  let body = bodies.get(ast)
  if (body === undefined) bodies.set(ast, body = copy(ast, { encoding: undefined }))
  return body
}

/* ------------------------------------------------------------------------------------------------- marks */

/* As effect copies its nodes: all they are is in their prototypes and in their own properties. */
const copy = <Node extends AST>(
  ast: Node,
  changes: { readonly [Key in keyof Node]?: AST[Key & keyof AST] | Node[Key] }
): Node => Object.assign(Object.create(Object.getPrototypeOf(ast)), ast, changes)

const wrapping = SchemaTransformation.transform<unknown, { readonly "~redacted": unknown }>({
  decode: (mark) => mark["~redacted"],
  encode: (secret) => ({ "~redacted": secret })
})

const markOf = (secret: AST, context?: SchemaAST.Context): AST => {
  const property = new SchemaAST.PropertySignature("~redacted", copy(secret, { context: undefined }))
  return new SchemaAST.Objects([property], [], { [marked]: true }, undefined, undefined, context)
}

/** Puts a mark around what `ast` is encoded to. */
const mark = (ast: AST): AST => {
  const encoded = SchemaAST.toEncoded(ast)
  // What may be missing has no mark where it is missing.
  return SchemaAST.decodeTo(markOf(encoded, encoded.context), ast, wrapping)
}

/** Puts a mark around the JSON form of what is `Redacted`. */
const markedLink = ({ to, transformation }: SchemaAST.Link): SchemaAST.Link =>
  transformation._tag === "Middleware"
    ? new SchemaAST.Link(mark(to), transformation)
    : new SchemaAST.Link(markOf(to), SchemaTransformation.composeTransformation(wrapping, transformation))

/* The annotations of a declaration whose JSON form is another one. */
const relinked = (ast: SchemaAST.Declaration, change: (link: SchemaAST.Link) => SchemaAST.Link) => {
  const link = toLink(ast)
  return {
    ...ast.annotations,
    toCodecJson: (typeParameters: ReadonlyArray<Schema.Constraint>) => {
      const json = link?.(typeParameters)
      return json === undefined ? undefined : change(json)
    }
  }
}

const marker = (inUnion: (union: SchemaAST.Union, original: SchemaAST.Union) => AST): (ast: AST) => AST => {
  const done = new WeakMap<AST, AST>()
  const walk = (ast: AST): AST => {
    if (isMarked(ast) || !hasSecrets(ast)) return ast
    let out = done.get(ast)
    if (out === undefined) done.set(ast, out = step(ast))
    return out
  }
  const walkLink = ({ to, transformation }: SchemaAST.Link): SchemaAST.Link =>
    new SchemaAST.Link(walk(to), transformation)
  const step = (ast: AST): AST => {
    if (isChain(ast)) {
      if (!isTransparent(ast)) return mark(ast)
      const [first, ...others] = [...ast.encoding.slice(0, -1), walkLink(lastOf(ast))]
      return copy(ast, { encoding: [first!, ...others] })
    }
    switch (ast._tag) {
      case "Declaration":
        if (isSecret(ast)) return copy(ast, { annotations: { ...relinked(ast, markedLink), [marked]: true } })
        // What an opaque declaration encodes its parameters to, nobody knows.
        return toLink(ast) === undefined
          ? mark(ast)
          : copy(ast, { typeParameters: ast.typeParameters.map(walk), annotations: relinked(ast, walkLink) })
      case "Arrays":
        return copy(ast, { elements: ast.elements.map(walk), rest: ast.rest.map(walk) })
      case "Objects":
        return copy(ast, {
          propertySignatures: ast.propertySignatures.map(({ name, type }) =>
            new SchemaAST.PropertySignature(name, walk(type))
          ),
          indexSignatures: ast.indexSignatures.map(({ parameter, type }) =>
            new SchemaAST.IndexSignature(parameter, walk(type))
          )
        })
      case "Union":
        return inUnion(copy(ast, { types: ast.types.map(walk) }), ast)
      case "Suspend":
        return new SchemaAST.Suspend(() => walk(ast.thunk()), ast.annotations, undefined, undefined, ast.context)
      default:
        return ast
    }
  }
  return walk
}

const toEncode = marker((union) => union)

/* A mark is first taken for one, whatever else in the union would accept an object. */
const toDecode = marker((union, original) => {
  const marks = union.types.filter((_, index) => mayBeMark(original.types[index]!, new Set()))
  if (marks.length === 0) return union
  const first = marks.map((ast) =>
    SchemaAST.decodeTo(onlyMark, Schema.toCodecJson(Schema.make(ast)).ast, SchemaTransformation.passthrough())
  )
  const all = copy(union, { checks: undefined, context: undefined })
  return copy(union, { types: [new SchemaAST.Union(first, union.options), all], options: undefined })
})

/* Whether the whole JSON form of a part of a union, and not only something in it, can be a mark. */
const mayBeMark = (ast: AST, seen: Set<AST>): boolean => {
  if (seen.has(ast) || !hasSecrets(ast)) return false
  seen.add(ast)
  if (isChain(ast)) return !isTransparent(ast) || mayBeMark(lastOf(ast).to, seen)
  switch (ast._tag) {
    case "Declaration": {
      if (isSecret(ast)) return true
      const link = linkOf(ast)
      return link === undefined || mayBeMark(link.to, seen)
    }
    case "Union":
    case "Suspend":
      return partsOf(ast).some((part) => mayBeMark(part, seen))
    default:
      return false
  }
}

const onlyMark = Schema.declare(isMark).annotate({ toCodecJson: () => undefined }).ast
