import { describe, expect, it } from 'vitest'
import { GitServer } from '../../../infra/local/simulation/git-server.ts'

const url = 'https://github.com/my-org/fleet-infra'
const a = { kind: 'A' }
const b = { kind: 'B' }

describe('GitServer', () => {
  it('knows one repository by each of its URLs', () => {
    const git = new GitServer()
    git.commit('git@github.com:My-Org/fleet-infra.git', 'main', 'c1')
    for (const form of [url, `${url}.git`, `${url}/`, 'ssh://git@github.com/my-org/fleet-infra']) {
      expect(git.head(form, 'main')?.sha).toBe('c1')
    }
    expect(git.head('https://github.com/my-org/other', 'main')).toBeUndefined()
  })

  it('applies a change to the tree of the head, and leaves older commits as they were', () => {
    const git = new GitServer()
    git.commit(url, 'main', 'c1', new Map([['a.yaml', [a]]]))
    git.commit(url, 'main', 'c2', { write: { 'b.yaml': [b] }, remove: ['a.yaml'] })
    expect([...(git.head(url, 'main')?.tree.keys() ?? [])]).toEqual(['b.yaml'])
    expect(git.find(url, 'c1')?.tree.get('a.yaml')?.[0]).toBe(a)
  })

  it('keeps branches apart, and starts a new one from the tree that it is given', () => {
    const git = new GitServer()
    git.commit(url, 'main', 'c1', { write: { 'a.yaml': [a] } })
    git.commit(url, 'next', 'c2', { write: { 'b.yaml': [b] } })
    expect(git.head(url, 'main')?.sha).toBe('c1')
    expect([...(git.head(url, 'next')?.tree.keys() ?? [])]).toEqual(['b.yaml'])
  })

  it('moves a branch back to a known commit', () => {
    const git = new GitServer()
    git.commit(url, 'main', 'c1', { write: { 'a.yaml': [a] } })
    git.commit(url, 'main', 'c2', { remove: ['a.yaml'] })
    git.commit(url, 'main', 'c1')
    expect(git.head(url, 'main')?.tree.has('a.yaml')).toBe(true)
  })
})
