import { inject } from 'vitest'
import { s3Contract } from '../contracts/s3.contract.ts'
import { startMoto } from './moto/moto-server.ts'

/** Where moto does not do what AWS documents: docs/fidelity.md. */
const differs = [
  'is deleted with If-Match: * when it is there',
  'is not deleted by version and ETag at once',
  'are copied only if the source matches',
  'are not copied over one that exists, when told so',
  'that are wrong refuse the body',
  'that are delete markers cannot be read',
  'that are delete markers are told apart when they are deleted',
  'that are suspended replace the version null only',
]

s3Contract('moto', () => startMoto({ python: inject('python') }), differs)
