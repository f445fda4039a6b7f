import { interpreterEngine } from './machine-engine.ts'
import { machinesContract } from './machines.contract.ts'

machinesContract('our interpreter', { setup: async () => interpreterEngine() })
