import { startLockstep } from './lockstep.ts'

/** `startLockstep` as a program that can be killed. Arguments: a kubeconfig, and the directory that it keeps its data in. */
const [kubeconfig = '', directory = ''] = process.argv.slice(2)
await startLockstep({ kubeconfig, directory })
process.stdout.write('ready\n')
