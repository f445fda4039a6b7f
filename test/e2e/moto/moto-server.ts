import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Guardian, startGuardian } from '../cluster/guardian.ts'
import { answers } from '../cluster/http-probe.ts'
import { startOnFreePorts } from '../cluster/on-free-ports.ts'
import { Process } from '../cluster/process.ts'

export interface MotoOptions {
  /** Path of a Python that has moto. */
  readonly python: string
  /** Of the cluster that it belongs to. Default: its own. */
  readonly guardian?: Guardian
}

export interface MotoServer {
  /** Endpoint for clients of any service; S3 in path style. */
  readonly url: string
  close(): Promise<void>
}

const program = fileURLToPath(new URL('one_at_a_time.py', import.meta.url))

/** moto as S3 and DynamoDB, in memory. Throws what `Process.start` and `startGuardian` throw. */
export async function startMoto({ python, guardian }: MotoOptions): Promise<MotoServer> {
  const keeper = guardian ?? (await startGuardian())
  const endKeeper = async () => {
    if (!guardian) await keeper.end()
  }
  try {
    const { process, ports } = await startOnFreePorts(1, ([port]) => motoProcess(python, keeper, port ?? 0))
    const close = async () => {
      await process.stop()
      await endKeeper()
    }
    return { url: `http://127.0.0.1:${ports[0]}`, close }
  } catch (error) {
    await endKeeper()
    throw error
  }
}

function motoProcess(python: string, guardian: Guardian, port: number): Process {
  return new Process({
    name: 'moto',
    guardian,
    log: join(guardian.directory, `moto-${port}.log`),
    // Its own home: boto reads the credentials of whoever it finds there.
    env: { HOME: guardian.directory },
    command: [python, program, String(port)],
    ready: () => answers(`http://127.0.0.1:${port}/moto-api/`),
  })
}
