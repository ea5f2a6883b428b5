package lattice

import (
	"bytes"
	"errors"
	"time"
)

// Glimpse is what a glance at an event's bytes tells without decoding it. The
// slices point into the event and die with it.
type Glimpse struct {
	// Type is the CloudEvent type with its prefix.
	Type []byte
	// Source is the emitting host.
	Source []byte
	// Time is the host's time of the event in nanoseconds since 1970.
	Time int64
	// Digest identifies the data regardless of the order of keys and of array
	// elements, and regardless of the uptime. Zero when there is no data.
	Digest uint64
}

// TypePrefix precedes the kind in the type of every host event.
const TypePrefix = "com.wasmcloud.lattice."

var heartbeatType = []byte(TypePrefix + string(HostHeartbeat))

// IsHeartbeat tells whether the glimpsed event is a heartbeat.
func (g *Glimpse) IsHeartbeat() bool { return string(g.Type) == string(heartbeatType) }

var errGlance = errors.New("not a CloudEvent in JSON")

// maxDepth bounds the nesting a glance follows; real events have five levels.
const maxDepth = 32

// Glance reads the envelope and digests the data of an event without
// allocating. It refuses what is not well-formed enough to be sure of; the
// caller then decodes in full, which reports the reason.
func Glance(b []byte) (Glimpse, error) {
	var g Glimpse
	s := scanner{b: b}
	s.space()
	if !s.take('{') {
		return g, errGlance
	}
	s.space()
	if s.take('}') {
		return g, errGlance
	}
	for {
		key, ok := s.rawString()
		if !ok {
			return g, errGlance
		}
		s.space()
		if !s.take(':') {
			return g, errGlance
		}
		s.space()
		switch string(key) {
		case "type":
			if g.Type, ok = s.plainString(); !ok {
				return g, errGlance
			}
		case "source":
			if g.Source, ok = s.plainString(); !ok {
				return g, errGlance
			}
		case "time":
			text, ok := s.plainString()
			if !ok {
				return g, errGlance
			}
			if g.Time, ok = parseTime(text); !ok {
				return g, errGlance
			}
		case "data":
			if g.Digest, ok = s.digest(0); !ok {
				return g, errGlance
			}
		default:
			if !foreignKey(key) {
				return g, errGlance
			}
			if _, ok = s.digest(0); !ok {
				return g, errGlance
			}
		}
		s.space()
		if s.take(',') {
			s.space()
			continue
		}
		if !s.take('}') {
			return g, errGlance
		}
		break
	}
	s.space()
	if s.i != len(s.b) || g.Type == nil || g.Source == nil || g.Time == 0 {
		return g, errGlance
	}
	return g, nil
}

// scanner walks JSON bytes. It checks structure, not the grammar of numbers.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// rawString returns the bytes between the quotes, escapes left as they are.
func (s *scanner) rawString() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	start := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			out := s.b[start:s.i]
			s.i++
			return out, true
		case c == '\\':
			s.i += 2
		case c < 0x20:
			return nil, false
		default:
			s.i++
		}
	}
	return nil, false
}

// plainString is a rawString that decodes to itself: no escapes, and no bytes
// that a decoder might replace.
func (s *scanner) plainString() ([]byte, bool) {
	raw, ok := s.rawString()
	return raw, ok && plain(raw)
}

func plain(raw []byte) bool {
	for _, c := range raw {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// foreignKey tells whether a decoder, which takes no notice of case, would
// understand the key as none of those a glance reads.
func foreignKey(key []byte) bool {
	if !plain(key) {
		return false
	}
	for _, k := range glanced {
		if bytes.EqualFold(key, k) {
			return false
		}
	}
	return true
}

var glanced = [][]byte{[]byte("type"), []byte("source"), []byte("time"), []byte("data")}

// Mixing constants: two odd 64-bit numbers from the golden ratio and xxhash.
const (
	mixA = 0x9E3779B97F4A7C15
	mixB = 0xC2B2AE3D27D4EB4F
)

func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= mixA
	h ^= h >> 29
	h *= mixB
	return h ^ h>>32
}

func hashBytes(seed uint64, b []byte) uint64 {
	h := seed ^ uint64(len(b))*mixA
	for len(b) >= 8 {
		v := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		h = (h ^ v) * mixB
		h ^= h >> 31
		b = b[8:]
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * mixA
	}
	return mix(h)
}

// digest hashes the value at the cursor. Members of objects and elements of
// arrays are summed, so their order does not matter: hosts list their tables in
// no order. The uptime is skipped; it changes with every heartbeat.
func (s *scanner) digest(depth int) (uint64, bool) {
	if depth > maxDepth || s.i >= len(s.b) {
		return 0, false
	}
	switch s.b[s.i] {
	case '{':
		s.i++
		sum := uint64(1)
		s.space()
		if s.take('}') {
			return mix(sum), true
		}
		for {
			key, ok := s.rawString()
			if !ok {
				return 0, false
			}
			s.space()
			if !s.take(':') {
				return 0, false
			}
			s.space()
			v, ok := s.digest(depth + 1)
			if !ok {
				return 0, false
			}
			if string(key) != "uptime_human" && string(key) != "uptime_seconds" {
				sum += mix(hashBytes(3, key) ^ v)
			}
			s.space()
			if s.take(',') {
				s.space()
				continue
			}
			return mix(sum), s.take('}')
		}
	case '[':
		s.i++
		sum := uint64(2)
		s.space()
		if s.take(']') {
			return mix(sum), true
		}
		for {
			v, ok := s.digest(depth + 1)
			if !ok {
				return 0, false
			}
			sum += mix(v)
			s.space()
			if s.take(',') {
				s.space()
				continue
			}
			return mix(sum), s.take(']')
		}
	case '"':
		raw, ok := s.rawString()
		return hashBytes(5, raw), ok
	default:
		start := s.i
		for s.i < len(s.b) {
			switch s.b[s.i] {
			case ',', '}', ']', ' ', '\t', '\n', '\r', ':', '"', '{', '[':
				return hashBytes(7, s.b[start:s.i]), s.i > start
			}
			s.i++
		}
		return hashBytes(7, s.b[start:s.i]), s.i > start
	}
}

// parseTime reads an RFC 3339 time with 0 to 9 fractional digits without allocating.
func parseTime(b []byte) (int64, bool) {
	// 2006-01-02T15:04:05 is the shortest prefix; a zone follows.
	if len(b) < 20 || len(b) > 35 || b[4] != '-' || b[7] != '-' || (b[10] != 'T' && b[10] != 't') || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	num := func(from, to int) int {
		n := 0
		for _, c := range b[from:to] {
			if c < '0' || c > '9' {
				return -1
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	y, mo, d, h, mi, sec := num(0, 4), num(5, 7), num(8, 10), num(11, 13), num(14, 16), num(17, 19)
	if y < 1970 || mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 23 || mi < 0 || mi > 59 || sec < 0 || sec > 60 {
		return 0, false
	}
	i, nanos := 19, 0
	if b[i] == '.' {
		i++
		digits := 0
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			if digits < 9 {
				nanos = nanos*10 + int(b[i]-'0')
			}
			digits++
			i++
		}
		if digits == 0 {
			return 0, false
		}
		for ; digits < 9; digits++ {
			nanos *= 10
		}
	}
	offset := 0
	switch {
	case i == len(b)-1 && (b[i] == 'Z' || b[i] == 'z'):
	case i == len(b)-6 && (b[i] == '+' || b[i] == '-') && b[i+3] == ':':
		oh, om := num(i+1, i+3), num(i+4, i+6)
		if oh < 0 || oh > 23 || om < 0 || om > 59 {
			return 0, false
		}
		offset = oh*3600 + om*60
		if b[i] == '-' {
			offset = -offset
		}
	default:
		return 0, false
	}
	t := time.Date(y, time.Month(mo), d, h, mi, sec, nanos, time.UTC)
	// Date normalises 31 February; a host never writes it.
	if t.Day() != d {
		return 0, false
	}
	return t.UnixNano() - int64(offset)*int64(time.Second), true
}
