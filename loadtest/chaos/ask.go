package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// ask is what tells one request to a host from another: the form in which what
// was stored and what arrived can be compared.
type ask struct {
	// kind is family and verb of the subject.
	kind string
	// host is empty where any host of the lattice may answer.
	host lattice.HostID
	// id names the workload, the link or the configuration.
	id    string
	count uint32
}

// askOf is what a stored command asks for.
func askOf(c lattice.Command) ask {
	switch c.Kind {
	case lattice.ScaleComponent:
		return ask{"component.scale", c.Host, string(c.Workload), c.Count}
	case lattice.UpdateComponent:
		return ask{"component.update", c.Host, string(c.Workload), 0}
	case lattice.StartProvider:
		return ask{"provider.start", c.Host, string(c.Workload), 0}
	case lattice.StopProvider:
		return ask{"provider.stop", c.Host, string(c.Workload), 0}
	case lattice.PutLink:
		return ask{kind: "link.put", id: linkID(c.Link)}
	case lattice.DeleteLink:
		return ask{kind: "link.del", id: linkID(c.Link)}
	case lattice.PutConfig:
		return ask{kind: "config.put", id: c.ConfigName}
	case lattice.DeleteConfig:
		return ask{kind: "config.del", id: c.ConfigName}
	}
	return ask{kind: string(c.Kind)}
}

// askedOf is what a request that arrived asks for.
func askedOf(r simhost.Record) (ask, error) {
	a := ask{kind: r.Kind}
	var err error
	switch r.Kind {
	case "component.scale", "component.update":
		var body struct {
			ID    string `json:"component_id"`
			Count uint32 `json:"count"`
		}
		err = json.Unmarshal(r.Body, &body)
		a.host, a.id, a.count = r.Host, body.ID, body.Count
	case "provider.start", "provider.stop":
		var body struct {
			ID string `json:"provider_id"`
		}
		err = json.Unmarshal(r.Body, &body)
		a.host, a.id = r.Host, body.ID
	case "link.put", "link.del":
		var l lattice.Link
		err = json.Unmarshal(r.Body, &l)
		a.id = linkID(&l)
	case "config.put", "config.del":
		_, a.id, _ = strings.Cut(r.Subject, "."+r.Kind+".")
	}
	if err != nil {
		return ask{}, fmt.Errorf("unreadable: %w", err)
	}
	return a, nil
}

// linkID is what no two links of a lattice share.
func linkID(l *lattice.Link) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s %s:%s %s", l.Source, l.Namespace, l.Package, cmp.Or(l.Name, "default"))
}

// times is how often one intent may reach hosts: what any host may answer is asked
// for a second time when the first is silent.
func (a ask) times() int {
	if a.host == "" {
		return 2
	}
	return 1
}
