import { readdirSync, readFileSync } from 'node:fs'

/** Command lines of the processes whose environment has what a guardian marks them with. */
export function markedProcesses(env: Readonly<Record<string, string>>): string[] {
  const marks = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && marks.every((mark) => read(`/proc/${name}/environ`).includes(mark)))
    .map((pid) => `${pid} ${read(`/proc/${pid}/cmdline`).join(' ')}`)
}

/** Empty where the process has ended. */
function read(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\0')
  } catch {
    return []
  }
}
