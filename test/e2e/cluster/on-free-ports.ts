import { freePorts } from './free-port.ts'
import { PortTaken, type Process } from './process.ts'

const mostTries = 5

/**
 * Starts a process that needs `count` ports of its own; with other ports where somebody else was quicker. Throws what
 * `Process.start` throws.
 */
export async function startOnFreePorts<P extends Process>(
  count: number,
  make: (ports: readonly number[]) => P | Promise<P>,
): Promise<{ readonly process: P; readonly ports: readonly number[] }> {
  for (let tries = 1; ; tries++) {
    const ports = await freePorts(count)
    const process = await make(ports)
    try {
      await process.start()
      return { process, ports }
    } catch (error) {
      if (!(error instanceof PortTaken) || tries === mostTries) throw error
    }
  }
}
