import type { TestProject } from 'vitest/node'
import { pythonEnvironment } from './upstream/python.ts'
import { type TofuController, tofuController } from './upstream/tofu-controller.ts'
import { type Upstream, upstream } from './upstream/upstream.ts'

declare module 'vitest' {
  /** What suites get by `inject`. */
  interface ProvidedContext {
    upstream: Upstream
    /** Path of a Python with moto and jsonata-python. */
    python: string
    tofuController: TofuController
  }
}

/** Runs once before the suites, also where vitest is started by itself. */
export default async function provideAll(project: TestProject): Promise<void> {
  const say = (line: string) => process.stdout.write(`${line}\n`)
  project.provide('tofuController', await tofuController())
  project.provide('upstream', await upstream({ say }))
  project.provide('python', (await pythonEnvironment({ say })).python)
}
