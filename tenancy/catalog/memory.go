package catalog

import (
	"container/list"
	"sync"

	"wadm/tenancy/manifest"
)

// memory remembers manifests by body key, the least recently used ones going
// first. Bodies never change, so nothing in it can be outdated.
type memory struct {
	mu    sync.Mutex
	bytes int
	most  int
	order *list.List // of *remembered, most recently used first
	byKey map[string]*list.Element
}

type remembered struct {
	key  string
	data []byte
	// parsed is nil until somebody needed more than the bytes.
	parsed *manifest.Manifest
}

func newMemory(most int) *memory {
	return &memory{most: most, order: list.New(), byKey: map[string]*list.Element{}}
}

func (m *memory) find(key string) ([]byte, *manifest.Manifest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byKey[key]
	if !ok {
		return nil, nil
	}
	m.order.MoveToFront(e)
	r := e.Value.(*remembered)
	return r.data, r.parsed
}

func (m *memory) keep(key string, data []byte, parsed *manifest.Manifest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byKey[key]; ok {
		r := e.Value.(*remembered)
		if parsed != nil {
			r.parsed = parsed
		}
		m.order.MoveToFront(e)
		return
	}
	if len(data) > m.most {
		return
	}
	m.byKey[key] = m.order.PushFront(&remembered{key: key, data: data, parsed: parsed})
	m.bytes += len(data)
	for m.bytes > m.most {
		e := m.order.Back()
		r := m.order.Remove(e).(*remembered)
		delete(m.byKey, r.key)
		m.bytes -= len(r.data)
	}
}
