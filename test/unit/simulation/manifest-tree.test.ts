import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Tree } from '../../../infra/local/simulation/git-server.ts'
import { ManifestsUnreadable, readManifestTree, selectObjects } from '../../../infra/local/simulation/manifest-tree.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manifests-'))
})

afterEach(() => rm(directory, { recursive: true }))

async function read(files: Record<string, string>): Promise<Tree> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true })
    await writeFile(join(directory, path), text)
  }
  return readManifestTree(directory)
}

const configMap = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\n`
const kustomize = (...resources: string[]) =>
  `apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [${resources.join(', ')}]\n`

function names(tree: Tree, path: string): string[] {
  return selectObjects(tree, path).objects.map((object) => object.metadata.name)
}

function problems(tree: Tree, path: string): string {
  return selectObjects(tree, path).problems.join('\n')
}

describe('readManifestTree', () => {
  it('reads .yaml and .yml files with several documents, and nothing else', async () => {
    const tree = await read({
      'a.yaml': `${configMap('a1')}---\n---\n${configMap('a2')}`,
      'sub/b.yml': configMap('b'),
      'c.json': '{',
      '.git/d.yaml': '{',
    })
    expect([...tree.keys()]).toEqual(['a.yaml', 'sub/b.yml'])
    expect(tree.get('a.yaml')).toHaveLength(2)
  })

  it('names file and number of every document that does not parse', async () => {
    const error = await read({
      'a.yaml': `${configMap('a')}---\nkind: [\n`,
      'sub/b.yaml': 'a: 1\na: 2\n',
      'c.yaml': configMap('c'),
    }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(ManifestsUnreadable)
    const found = (error as ManifestsUnreadable).problems.map(({ file, document }) => `${file} ${document}`)
    expect(found).toEqual(['a.yaml 2', 'sub/b.yaml 1'])
    expect(String(error)).toContain('sub/b.yaml, document 1')
  })

  it('refuses aliases that blow up', async () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]']
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef'].map((pair) => [...pair])) {
      bomb.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(', ')}]`)
    }
    await expect(read({ 'bomb.yaml': bomb.join('\n') })).rejects.toThrow('bomb.yaml, document 1')
  })

  it('leaves out the templates of a Helm chart, which are not YAML', async () => {
    const tree = await read({
      'charts/app/Chart.yaml': 'apiVersion: v2\nname: app\nversion: 0.1.0\n',
      'charts/app/templates/x.yaml': 'kind: {{ .Values.kind }}\n{{- end }}',
    })
    expect([...tree.keys()]).toEqual(['charts/app/Chart.yaml'])
  })
})

describe('selectObjects', () => {
  it('takes every manifest below a directory without kustomization.yaml, and ignores other YAML', async () => {
    const tree = await read({
      'apps/a.yaml': configMap('a'),
      'apps/deep/b.yaml': configMap('b'),
      'apps/values.yaml': 'replicas: 2\n',
      'other/c.yaml': configMap('c'),
    })
    expect(names(tree, './apps')).toEqual(['a', 'b'])
    expect(names(tree, '/apps/')).toEqual(['a', 'b'])
    expect(names(tree, './')).toEqual(['a', 'b', 'c'])
  })

  it('takes what kustomization.yaml lists: files, directories and ../base', async () => {
    const tree = await read({
      'apps/prod/kustomization.yaml': kustomize('a.yaml', '../base', 'more'),
      'apps/prod/a.yaml': configMap('a'),
      'apps/prod/unlisted.yaml': configMap('unlisted'),
      'apps/prod/more/kustomization.yaml': kustomize('b.yaml'),
      'apps/prod/more/b.yaml': configMap('b'),
      'apps/base/kustomization.yaml': 'resources: [c.yaml]\n',
      'apps/base/c.yaml': configMap('c'),
    })
    expect(names(tree, './apps/prod')).toEqual(['a', 'c', 'b'])
    expect(problems(tree, './apps/prod')).toBe('')
  })

  it('builds a directory further down by its own kustomization.yaml', async () => {
    const tree = await read({
      'apps/a.yaml': configMap('a'),
      'apps/sub/kustomization.yaml': kustomize('b.yaml'),
      'apps/sub/b.yaml': configMap('b'),
      'apps/sub/unlisted.yaml': configMap('unlisted'),
    })
    expect(names(tree, 'apps')).toEqual(['a', 'b'])
  })

  it('sets the namespace that kustomization.yaml asks for, but not on cluster-scoped kinds', async () => {
    const tree = await read({
      'apps/kustomization.yaml': `${kustomize('a.yaml', 'ns.yaml')}namespace: team\n`,
      'apps/a.yaml': configMap('a'),
      'apps/ns.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: { name: team }\n',
    })
    expect(selectObjects(tree, 'apps').objects.map((object) => object.metadata.namespace)).toEqual(['team', undefined])
  })

  it('keeps a Flux Kustomization apart from a kustomization.yaml', async () => {
    const flux = 'apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: { name: apps }\n'
    expect(names(await read({ 'cluster/apps.yaml': flux }), 'cluster')).toEqual(['apps'])
  })

  it('names what is missing', async () => {
    const tree = await read({
      'apps/kustomization.yaml': kustomize('gone.yaml', 'plain', '../../outside'),
      'apps/plain/a.yaml': configMap('a'),
    })
    expect(problems(tree, 'apps')).toContain('gone.yaml does not exist')
    expect(problems(tree, 'apps')).toContain('unable to find a kustomization.yaml in apps/plain')
    expect(problems(tree, 'apps')).toContain('points outside of the repository')
    expect(problems(tree, 'nowhere')).toContain('kustomization path not found')
  })

  it('ends on directories that list each other, and on one object listed twice', async () => {
    const tree = await read({
      'a/kustomization.yaml': kustomize('../b'),
      'b/kustomization.yaml': kustomize('../a'),
      'twice/kustomization.yaml': kustomize('a.yaml', 'b.yaml'),
      'twice/a.yaml': configMap('same'),
      'twice/b.yaml': configMap('same'),
    })
    expect(problems(tree, 'a')).toContain('cycle: a -> b -> a')
    expect(problems(tree, 'twice')).toContain('already registered id')
  })
})
