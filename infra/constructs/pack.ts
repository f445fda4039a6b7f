/**
 * `npm run constructs`: makes an npm package of StateBackend and RunnerIdentity, which need nothing else of Lockstep, for
 * CDK apps of your own. Prints where it is.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const usage = 'npm run constructs [-- --out DIR]   default: dist\n'

process.exitCode = main(process.argv.slice(2))

function main(args: readonly string[]): 0 | 2 {
  let out: string
  try {
    out = parseArgs({ args: [...args], options: { out: { type: 'string', default: 'dist' } } }).values.out
  } catch {
    process.stderr.write(usage)
    return 2
  }
  process.stdout.write(`${pack(resolve(out))}\n`)
  return 0
}

/** The path of the package. */
function pack(out: string): string {
  mkdirSync(out, { recursive: true })
  // In the project, so that its dependencies are found.
  const directory = mkdtempSync(join(out, 'constructs-'))
  try {
    compile(directory)
    writeFileSync(join(directory, 'package.json'), JSON.stringify(packageOf(), null, 2))
    writeFileSync(join(directory, 'README.md'), readFileSync(join(root, 'docs', 'constructs.md')))
    const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', out], { cwd: directory })
    return join(out, packed.toString().trim())
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function compile(directory: string): void {
  const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'))
  const config = join(directory, 'tsconfig.json')
  const compilerOptions = {
    ...{ noEmit: false, declaration: true, rewriteRelativeImportExtensions: true },
    ...{ rootDir: join(root, 'infra'), outDir: directory, typeRoots: [join(root, 'node_modules', '@types')] },
  }
  const files = [join(root, 'infra', 'constructs', 'index.ts')]
  writeFileSync(config, JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include: [], files }))
  execFileSync(process.execPath, [join(typescript, 'bin', 'tsc'), '-p', config], { stdio: ['ignore', 2, 2] })
  rmSync(config)
}

function packageOf(): object {
  const { version, license, devDependencies } = manifest
  const from = (name: string) => `^${devDependencies[name]}`
  return {
    ...{ name: 'lockstep-constructs', version, license, type: 'module' },
    description: 'AWS CDK constructs: where OpenTofu keeps its states, and who the runners of tofu-controller are',
    exports: { '.': { types: './constructs/index.d.ts', default: './constructs/index.js' } },
    peerDependencies: { 'aws-cdk-lib': from('aws-cdk-lib'), constructs: from('constructs') },
  }
}
