import { MemoryLedger } from '../fixtures/memory-ledger.ts'
import { auditContract, ledgerContract } from './ledger.contract.ts'

const inMemory = async () => ({ ledger: new MemoryLedger(), close: async () => {} })

ledgerContract('memory', inMemory)
auditContract('memory', inMemory)
