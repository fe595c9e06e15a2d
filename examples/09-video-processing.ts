/*
 * A video is uploaded, transcoded into three formats side by side, gets thumbnails and metadata, and is published: the
 * pivot. When one format fails, all files and entries made so far are removed, those of the formats in parallel too.
 */
import { Console, Data, Effect, Ref } from "effect"
import { Saga } from "effect-saga"

class TranscodeFailed extends Data.TaggedError("TranscodeFailed")<{ readonly format: string }> {}

const formats = ["1080p", "720p", "480p"]

const processVideo = Effect.fnUntraced(function*(files: Ref.Ref<ReadonlySet<string>>, video: string, broken?: string) {
  const write = (file: string) => Ref.update(files, (all) => new Set(all).add(file)).pipe(Effect.as(file))
  const remove = (file: string) => Ref.update(files, (all) => new Set(Array.from(all).filter((name) => name !== file)))
  const transcode = (format: string) =>
    Saga.step(
      format === broken ? Effect.fail(new TranscodeFailed({ format })) : write(`${video}.${format}.mp4`),
      remove,
      { name: `transcode-${format}` }
    )

  yield* Saga.step(write(`${video}.source`), remove, { name: "upload" })
  yield* Saga.forEach(formats, transcode, { concurrency: "unbounded", compensation: "parallel" })
  yield* Saga.step(write(`${video}.thumbnails`), remove, { name: "thumbnails" })
  yield* Saga.step(write(`${video}.json`), remove, { name: "metadata" })
  yield* Saga.pivot(Console.log(`  ${video} goes to the CDN`), { name: "publish" })
}, Saga.transact({ name: "process-video" }))

export const program: Effect.Effect<void> = Effect.gen(function*() {
  const files = yield* Ref.make<ReadonlySet<string>>(new Set())
  const printFiles = Effect.flatMap(
    Ref.get(files),
    (all) => Console.log(`  files: ${Array.from(all).join(", ") || "none"}`)
  )

  yield* Console.log("720p can't be transcoded")
  yield* processVideo(files, "cats", "720p").pipe(
    Effect.catchTag("TranscodeFailed", ({ format }) => Console.log(`  not published: ${format} failed`)),
    Effect.catchTag("CommittedIncomplete", (error) => Console.log(error.message))
  )
  yield* printFiles

  yield* Console.log("all formats work")
  yield* processVideo(files, "dogs").pipe(
    Effect.catch((error) => Console.log(error.message))
  )
  yield* printFiles
})

if (import.meta.main) await Effect.runPromise(program)
