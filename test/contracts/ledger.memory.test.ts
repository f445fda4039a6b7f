import { MemoryLedger } from '../fixtures/memory-ledger.ts'
import { ledgerContract } from './ledger.contract.ts'

ledgerContract('memory', async () => ({ ledger: new MemoryLedger(), close: async () => {} }))
