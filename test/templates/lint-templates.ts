/**
 * `npm run lint:templates`: `cdk synth` for the fleet of cdk.json and for one of 100 clusters, with all that a fleet may ask for;
 * then cfn-lint on every template, and CloudFormation's limits. Needs Python. Exit code 0 only where nothing was found.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as z from 'zod'
import { LockstepError } from '../../functions/lib/errors.ts'
import { withProgress } from '../e2e/upstream/progress.ts'
import { pythonEnvironment } from '../e2e/upstream/python.ts'
import { largeFleet } from '../fixtures/large-fleet.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const say = (line: string) => process.stdout.write(`${line}\n`)
const run = promisify(execFile)

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html */
const limits = { resources: 500, bytes: 1_000_000 }

/** Left out: CDK names what a resource depends on, also where a reference in it says so already. */
const ignored = ['W3005']

const templateSchema = z.looseObject({ Resources: z.record(z.string(), z.unknown()) })

async function main(directory: string): Promise<void> {
  const large = join(directory, 'cdk.json')
  await writeFile(large, JSON.stringify({ context: { lockstep: largeFleet(100) } }))
  const templates = [
    ...(await synthesized('the fleet of cdk.json', join(directory, 'own'))),
    ...(await synthesized('a fleet of 100 clusters', join(directory, 'large'), large)),
  ]
  for (const template of templates) await measure(template)
  const { python } = await pythonEnvironment({ say })
  const program = 'import sys; from cfnlint.runner import main; sys.exit(main())'
  const args = ['-c', program, '--ignore-checks', ...ignored, '--', ...templates]
  await withProgress(say, `cfn-lint on ${templates.length} templates`, () => told('cfn-lint', python, args))
}

/** Paths of the templates. */
async function synthesized(what: string, out: string, fleet?: string): Promise<string[]> {
  await mkdir(out)
  const env = { ...process.env, ...(fleet !== undefined && { LOCKSTEP_FLEET_FILE: fleet }) }
  const cdk = join(root, 'node_modules/.bin/cdk')
  await withProgress(say, `cdk synth of ${what}`, () =>
    told('cdk synth', cdk, ['synth', '--quiet', '--output', out], env),
  )
  const files = (await readdir(out)).filter((file) => file.endsWith('.template.json'))
  return files.sort().map((file) => join(out, file))
}

async function measure(template: string): Promise<void> {
  const content = await readFile(template, 'utf8')
  const resources = Object.keys(templateSchema.parse(JSON.parse(content)).Resources).length
  const bytes = Buffer.byteLength(content)
  const stack = basename(template, '.template.json')
  say(`  ${stack}: ${resources} resources, ${Math.round(bytes / 1000)} KB`)
  if (resources < limits.resources && bytes < limits.bytes) return
  throw new LockstepError(
    'TemplateTooLarge',
    `The template of ${stack} has ${resources} resources and ${bytes} bytes; ${limits.resources} and ${limits.bytes} are too many.`,
    'Move what comes with every cluster to the stacks of clusters.',
  )
}

/** Runs a program to its end, and says nothing of it but where it fails. */
async function told(what: string, file: string, args: readonly string[], env = process.env): Promise<void> {
  try {
    await run(file, args, { env, cwd: root, maxBuffer: 64 * 1024 * 1024 })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    say(`${stdout}${stderr}`)
    throw new LockstepError('TemplatesRefused', `${what} found something.`, 'It is told above.', { cause: error })
  }
}

const directory = await mkdtemp(join(tmpdir(), 'lockstep-templates-'))
try {
  await main(directory)
} catch (error) {
  if (!(error instanceof LockstepError)) throw error
  say(`\n${error.name}: ${error.message}`)
  process.exitCode = 1
} finally {
  await rm(directory, { recursive: true })
}
