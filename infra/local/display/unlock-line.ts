import type { UnlockNews } from '../views/unlock-news.ts'
import { duration } from './terminal-text.ts'

/** `Unlock of Terraform/flux-system/vpc in staging, 4 min 02 s: puts back all that it has changed` */
export function unlockLine({ object = 'a state', cluster, elapsedMs, what }: UnlockNews): string {
  return `Unlock of ${object} in ${cluster}, ${duration(elapsedMs)}: ${what}`
}
