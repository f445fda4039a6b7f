import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** The examples of the README, as whoever installs the package would write them. */
const examples = [...readFileSync('docs/constructs.md', 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(
  ([, code]) => code ?? '',
)

let app: string

beforeAll(() => {
  app = mkdtempSync(join(tmpdir(), 'lockstep-constructs-'))
  const installed = join(app, 'node_modules', 'lockstep-constructs')
  mkdirSync(installed, { recursive: true })
  const packed = execFileSync(process.execPath, ['infra/constructs/pack.ts', '--out', app]).toString().trim()
  execFileSync('tar', ['xzf', packed, '-C', installed, '--strip-components=1'])
  for (const peer of ['aws-cdk-lib', 'constructs', '@types'])
    symlinkSync(resolve('node_modules', peer), join(app, 'node_modules', peer))
  writeFileSync(join(app, 'package.json'), '{"type": "module"}')
})
afterAll(() => rmSync(app, { recursive: true }))

describe('the package of constructs', () => {
  it('has examples', () => expect(examples.length).toBeGreaterThanOrEqual(3))

  it.each(examples)('synthesizes its example %#', (code) => {
    const out = mkdtempSync(join(app, 'out-'))
    writeFileSync(join(app, 'app.js'), code)
    execFileSync(process.execPath, ['app.js'], { cwd: app, env: { PATH: process.env.PATH, CDK_OUTDIR: out } })
    const templates = readdirSync(out).filter((file) => file.endsWith('.template.json'))
    expect(templates).toHaveLength(1)
    const { Resources } = JSON.parse(readFileSync(join(out, templates[0] ?? ''), 'utf8'))
    const types = Object.values(Resources as Record<string, { Type: string }>).map(({ Type }) => Type)
    expect(types).toContain('AWS::S3::Bucket')
    expect(types.includes('AWS::EKS::PodIdentityAssociation')).toBe(code.includes('RunnerIdentity'))
  })

  it('has types', () => {
    const files = examples.map((code, at) => {
      const file = `example-${at}.ts`
      writeFileSync(join(app, file), code)
      return file
    })
    const wrong = 'example-wrong.ts'
    writeFileSync(join(app, wrong), (examples[0] ?? '').replace("lock: 'lockfile'", "lock: 'paper'"))
    const check = (...given: string[]) =>
      execFileSync(
        resolve('node_modules/.bin/tsc'),
        ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', ...given],
        {
          ...{ cwd: app, stdio: 'pipe' },
        },
      )
    check(...files)
    expect(() => check(wrong)).toThrow()
  })

  it('depends on nothing but the CDK', () => {
    const { dependencies, peerDependencies } = JSON.parse(
      readFileSync(join(app, 'node_modules', 'lockstep-constructs', 'package.json'), 'utf8'),
    )
    expect(dependencies).toBeUndefined()
    expect(Object.keys(peerDependencies)).toEqual(['aws-cdk-lib', 'constructs'])
  })
})
