import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { tofuController } from '../../e2e/upstream/tofu-controller.ts'
import { scratch, script } from './scratch.ts'

describe('tofuController', () => {
  it('is simulated unless it is given', async () => {
    expect(await tofuController({})).toEqual({ kind: 'simulated' })
    expect(await tofuController({ LOCKSTEP_TOFU_CONTROLLER: '' })).toEqual({ kind: 'simulated' })
  })

  it('is the real one of a directory that has all of it, and names what is lacking', async () => {
    const directory = await scratch()
    const controller = () => tofuController({ LOCKSTEP_TOFU_CONTROLLER: directory })
    const lacks = (what: string) => ({
      name: 'TofuControllerIncomplete',
      message: expect.stringContaining(`${directory}, which has no ${what}`),
    })
    await expect(controller()).rejects.toMatchObject(lacks('program manager'))
    await script(join(directory, 'manager'), [])
    await writeFile(join(directory, 'runner'), 'not to be run')
    await expect(controller()).rejects.toMatchObject(lacks('program runner'))
    await script(join(directory, 'runner'), [])
    await mkdir(join(directory, 'crds'))
    await expect(controller()).rejects.toMatchObject(lacks('YAML file in crds'))
    await writeFile(join(directory, 'crds', 'terraforms.yaml'), '')
    expect(await controller()).toEqual({ kind: 'real', directory })
  })
})
