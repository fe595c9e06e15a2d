import { raw, type RawJob, type RawResult } from "./raw.ts"
import { run, type RunJob, type RunResult } from "./run.ts"
import {
  recover,
  type RecoverJob,
  type RecoverResult,
  start,
  type StartJob,
  type StartResult,
  timers,
  type TimersJob,
  type TimersResult
} from "./waiting.ts"

/*
 * Measures one thing about durable sagas, in a process of its own. The job comes as JSON in the first argument, the result
 * goes to the standard output as JSON.
 */

export type Job = RunJob | RawJob | StartJob | RecoverJob | TimersJob

export type ResultOf<J extends Job> = J extends RunJob ? RunResult
  : J extends RawJob ? RawResult
  : J extends StartJob ? StartResult
  : J extends RecoverJob ? RecoverResult
  : TimersResult

const measure = (job: Job): Promise<ResultOf<Job>> | ResultOf<Job> => {
  switch (job.task) {
    case "run":
      return run(job)
    case "raw":
      return raw(job)
    case "start":
      return start(job)
    case "recover":
      return recover(job)
    case "timers":
      return timers(job)
  }
}

if (import.meta.main) {
  process.stdout.write(JSON.stringify(await measure(JSON.parse(process.argv[2]!))))
}
