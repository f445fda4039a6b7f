import { access, constants, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { Environment } from './environment.ts'
import { crdFiles } from './go-build.ts'

/** Upstream's own tofu-controller, from `directory` (its `manager`, its `runner`, `crds/`), or our simulation of it. */
export type TofuController = { readonly kind: 'real'; readonly directory: string } | { readonly kind: 'simulated' }

/** LOCKSTEP_TOFU_CONTROLLER names a directory that is not what it should be. */
export class TofuControllerIncomplete extends LockstepError {
  constructor(directory: string, lacks: string) {
    const next =
      'Put the programs `manager` and `runner` and the CRD files in `crds/` there, or leave LOCKSTEP_TOFU_CONTROLLER out: then tofu-controller is simulated.'
    super('TofuControllerIncomplete', `LOCKSTEP_TOFU_CONTROLLER is ${directory}, which has no ${lacks}.`, next)
  }
}

/**
 * Which tofu-controller there is: it cannot be had from the Go module proxy, so it is given by path. Throws
 * TofuControllerIncomplete.
 */
export async function tofuController(env: Environment = process.env): Promise<TofuController> {
  if (!env.LOCKSTEP_TOFU_CONTROLLER) return { kind: 'simulated' }
  const directory = resolve(env.LOCKSTEP_TOFU_CONTROLLER)
  for (const program of ['manager', 'runner']) {
    if (!(await isProgram(join(directory, program)))) {
      throw new TofuControllerIncomplete(directory, `program ${program}`)
    }
  }
  if ((await crdFiles(join(directory, 'crds'))).length === 0) {
    throw new TofuControllerIncomplete(directory, 'YAML file in crds')
  }
  return { kind: 'real', directory }
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
