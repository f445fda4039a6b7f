import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { binaryName, directives, type GoModule, pinnedVersion, readGoModules } from '../../e2e/upstream/go-module.ts'

const module: GoModule = {
  name: 'etcd',
  directory: '/modules/etcd',
  goMod: [
    'module lockstep.dev/upstream/etcd',
    'go 1.26.0',
    'tool go.etcd.io/etcd/server/v3 // the server',
    'tool (',
    '\tgo.etcd.io/etcd/etcdctl',
    ')',
    'require go.etcd.io/etcd/server v3.0.0',
    'require (',
    '\tgo.etcd.io/etcd/server/v3 v3.6.16',
    '\ttool.example/go v1.0.0 // indirect',
    ')',
    'replace go.etcd.io/x => go.etcd.io/y v1.0.0',
  ].join('\n'),
  goSum: '',
  tools: ['go.etcd.io/etcd/server/v3'],
  goVersion: '1.26.0',
}

describe('a go.mod', () => {
  it('has directives as lines and as blocks, and comments do not count', () => {
    expect(directives(module.goMod, 'tool')).toEqual(['go.etcd.io/etcd/server/v3', 'go.etcd.io/etcd/etcdctl'])
    expect(directives(module.goMod, 'go')).toEqual(['1.26.0'])
    expect(directives(module.goMod, 'require')).toEqual([
      'go.etcd.io/etcd/server v3.0.0',
      'go.etcd.io/etcd/server/v3 v3.6.16',
      'tool.example/go v1.0.0',
    ])
  })

  it('pins the version of the module that the tool is in, which is the longest path', () => {
    expect(pinnedVersion(module)).toBe('3.6.16')
    expect(pinnedVersion({ ...module, tools: ['example.com/elsewhere'] })).toBe('unknown')
  })

  it('names a binary after its package, or after itself where the package is only a version', () => {
    expect(binaryName(module, 'go.etcd.io/etcd/server/v3')).toBe('etcd')
    expect(binaryName(module, 'k8s.io/kubernetes/cmd/kube-apiserver')).toBe('kube-apiserver')
  })
})

describe('the upstream modules', () => {
  it('pin what they build, with its checksums', async () => {
    const modules = await readGoModules(fileURLToPath(new URL('../../e2e/upstream', import.meta.url)))
    const binaries = modules.flatMap((each) => each.tools.map((tool) => binaryName(each, tool)))
    expect(binaries.sort()).toEqual([
      'etcd',
      'helm-controller',
      'kube-apiserver',
      'kube-controller-manager',
      'kustomize-controller',
      'source-controller',
      'tofu',
    ])
    for (const each of modules) {
      expect(pinnedVersion(each), each.name).toMatch(/^\d+\.\d+\.\d+$/)
      expect(each.goVersion, each.name).toMatch(/^1\.\d+/)
      expect(each.goSum, each.name).toContain(`v${pinnedVersion(each)} h1:`)
    }
  })
})
