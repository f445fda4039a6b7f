import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type PythonEnvironment, pythonEnvironment } from '../../e2e/upstream/python.ts'
import { scratch, script } from './scratch.ts'

const lines: string[] = []

/** With a `python3` that does what it is told, and nothing else but what a shell script needs. */
async function environmentWith(directory: string, python3?: readonly string[]): Promise<PythonEnvironment> {
  if (python3) await script(join(directory, 'bin/python3'), python3)
  const path = python3 ? `${directory}/bin:/usr/bin:/bin` : `${directory}/bin`
  const env = { PATH: path, LOCKSTEP_CACHE: join(directory, 'cache') }
  return pythonEnvironment({ env, say: (line) => lines.push(line) })
}

const describes = (version: string) => `case "$2" in *version_info*) echo ${version} linux-x86_64 /usr; exit;; esac`
/** Makes a venv whose pip does this. */
const venvWith = (pip: string) => [
  '[ "$2" = venv ] || exit 0',
  'mkdir -p "$3/bin"',
  `printf '#!/bin/sh\\n%s\\n' '${pip}' >"$3/bin/python"`,
  'chmod +x "$3/bin/python"',
]

describe('pythonEnvironment', () => {
  it('installs what is pinned once', async () => {
    const directory = await scratch()
    const python3 = [describes('3.12.1'), ...venvWith('echo "$@" >>"$(dirname "$0")/asked"')]
    const { python, versions } = await environmentWith(directory, python3)
    expect(versions).toEqual({
      ...{ moto: expect.stringMatching(/^5\.\d/), 'jsonata-python': expect.stringMatching(/^\d/) },
      'cfn-lint': expect.stringMatching(/^1\.\d/),
    })
    expect(await environmentWith(directory, python3)).toEqual({ python, versions })
    const asked = await readFile(join(python, '../asked'), 'utf8')
    expect(asked.match(/pip install/g)).toHaveLength(1)
    expect(asked).toContain('--require-hashes')
  })

  it('needs Python, and says who needs it', async () => {
    const missing = environmentWith(await scratch())
    await expect(missing).rejects.toMatchObject({ name: 'PythonMissing' })
    await expect(missing).rejects.toThrow('Only `npm run test:e2e` and `npm run lint:templates` need Python')
  })

  it('needs a Python that the packages are pinned for', async () => {
    const old = environmentWith(await scratch(), [describes('3.9.18')])
    await expect(old).rejects.toMatchObject({ name: 'PythonTooOld', message: expect.stringContaining('3.9.18') })
  })

  it('needs venv, and says which package Debian has it in', async () => {
    const missing = environmentWith(await scratch(), [
      describes('3.11.2'),
      'echo "ModuleNotFoundError: No module named ensurepip" >&2; exit 1',
    ])
    const parts = { name: 'PythonVenvMissing', message: expect.stringContaining('No module named ensurepip') }
    await expect(missing).rejects.toMatchObject({ ...parts, next: expect.stringContaining('python3-venv') })
  })

  it.each([
    ['PythonPackagesFailed', 'THESE PACKAGES DO NOT MATCH THE HASHES'],
    ['RegistryUnreachable', 'Failed to establish a new connection: refused'],
  ])('that pip cannot fill is a %s', async (name, complaint) => {
    const directory = await scratch()
    const failing = environmentWith(directory, [describes('3.12.1'), ...venvWith(`echo "${complaint}"; exit 1`)])
    await expect(failing).rejects.toMatchObject({ name, message: expect.stringContaining(complaint) })
    expect(await readFile(join(directory, 'cache/logs/python.log'), 'utf8')).toContain(complaint)
  })

  it('has a hash for every package', async () => {
    const file = new URL('../../e2e/upstream/python/requirements.txt', import.meta.url)
    const pinned = (await readFile(file, 'utf8'))
      .replace(/^#.*\n/gm, '')
      .replaceAll('\\\n', ' ')
      .trim()
      .split('\n')
    expect(pinned.length).toBeGreaterThan(20)
    for (const line of pinned) expect(line).toMatch(/^[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}/)
  })
})
