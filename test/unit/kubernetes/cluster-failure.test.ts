import { KubeConfig } from '@kubernetes/client-node'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../functions/lib/clock.ts'
import { ApiConnection } from '../../../functions/lib/kubernetes/api-connection.ts'
import { type Asked, noAnswer, refused } from '../../../functions/lib/kubernetes/cluster-failure.ts'

const asked: Asked = {
  ...{ cluster: 'staging', server: 'https://10.0.0.1:6443', what: 'PATCH Kustomization/flux-system/app' },
  ...{ object: true, jsonPatch: false },
}

describe('no answer', () => {
  it.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate is not one that is trusted'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate is not one that is trusted'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate is not one that is trusted'],
    ['CERT_HAS_EXPIRED', 'certificate is not one that is trusted'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate is not one that is trusted'],
    ['EPROTO', 'No TLS connection came about'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'No TLS connection came about'],
    ['ECONNREFUSED', 'API server is up and can be reached'],
    ['ENOTFOUND', 'API server is up and can be reached'],
    ['UND_ERR_CONNECT_TIMEOUT', 'API server is up and can be reached'],
  ])('with %s says where, and what to do', (code, next) => {
    const error = noAnswer(asked, code)
    expect(error).toMatchObject({ name: 'ClusterUnavailable', status: 0, next: expect.stringContaining(next) })
    expect(error.message).toContain(
      `staging: PATCH Kustomization/flux-system/app failed with ${code} (https://10.0.0.1:6443).`,
    )
  })

  it('never shows what a URL may carry besides its host', async () => {
    const config = new KubeConfig()
    const server = 'https://me:hunter2@127.0.0.1:1/base/?token=hunter2'
    config.loadFromClusterAndUser({ name: 'x', server, skipTLSVerify: true }, { name: 'x' })
    expect(new ApiConnection({ name: 'staging', config, clock: systemClock }).server).toBe('https://127.0.0.1:1/base')
  })
})

describe('a refusal of a real API server', () => {
  /** As kube-apiserver 1.35 sent it, but for the names. */
  const status = (message: string) =>
    JSON.stringify({
      ...{ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason: 'Forbidden', code: 403 },
      details: { name: 'app', group: 'kustomize.toolkit.fluxcd.io', kind: 'kustomizations' },
    })

  it('names verb, resource and the way out, however long the name of an EKS user is', () => {
    const user = `arn:aws:sts::123456789012:assumed-role/${'r'.repeat(64)}/${'s'.repeat(64)}`
    const what = `User "${user}" cannot patch resource "kustomizations" in API group "kustomize.toolkit.fluxcd.io" in the namespace "flux-system"`
    const error = refused(asked, {
      code: 403,
      body: status(`kustomizations.kustomize.toolkit.fluxcd.io "app" is forbidden: ${what}`),
    })
    expect(error.name).toBe('ClusterForbidden')
    expect(error.message).toContain(what)
    expect(error.next).toContain('apply infra/cluster')
  })

  it('for want of known credentials says by whom', () => {
    const error = refused(asked, { code: 401, body: status('Unauthorized') })
    expect(error.message).toContain('was answered with 401 by https://10.0.0.1:6443: Unauthorized.')
  })
})
