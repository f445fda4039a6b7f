import { systemClock } from '../../functions/lib/clock.ts'
import { startS3 } from '../../infra/local/s3/s3-server.ts'
import { lockBucketAt, withServer } from './lock-store.client.ts'
import { lockStoreContract } from './lock-store.contract.ts'

for (const versions of [false, true]) {
  lockStoreContract(`S3 client on the stand-in, ${versions ? 'with' : 'without'} versions`, async () => {
    const server = await startS3({ clock: systemClock })
    return withServer(await lockBucketAt(server.url, { versions }), server)
  })
}
