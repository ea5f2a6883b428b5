package simhost

import "strings"

// ping tells who is there.
func (h *Host) ping(r request) {
	l := h.lattice
	o := newObject(nil).str("id", string(h.id)).raw("labels", h.labels.json).str("friendly_name", h.friendlyName)
	o = h.appendUptime(o).str("version", l.cfg.Version).str("ctl_host", l.url).str("rpc_host", l.url).str("lattice", l.name)
	h.answer(r, o.end())
}

func (h *Host) stop(r request) {
	named, err := decodeHostStop(r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize stop command", err)
		return
	}
	if named != "" && named != string(h.id) {
		h.checkHost(r, named)
		h.refuse(r, "invalid host_id ["+named+"]")
		return
	}
	h.accept(r, "successfully handled stop host")
	h.sayGoodbye()
}

func (h *Host) putLabel(r request) {
	key, value, err := decodeLabel(r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize put label request", err)
		return
	}
	if strings.HasPrefix(strings.ToLower(key), "hostcore.") {
		h.refuse(r, "hostcore.* labels cannot be set dynamically")
		return
	}
	h.setLabel(key, &value)
	h.accept(r, "successfully put label")
}

func (h *Host) deleteLabel(r request) {
	key, err := decodeLabelKey(r.msg.Data)
	if err != nil {
		h.malformed(r, "failed to deserialize delete label request", err)
		return
	}
	if _, ok := h.labels.m[key]; !ok {
		h.lattice.needless(r.record)
		h.accept(r, "successfully deleted label (no such label)")
		return
	}
	h.setLabel(key, nil)
	h.accept(r, "successfully deleted label")
}

// putRegistries reads credentials and has no use for them.
func (h *Host) putRegistries(r request) {
	if err := decodeRegistries(r.msg.Data); err != nil {
		h.malformed(r, "failed to deserialize registries put command", err)
		return
	}
	h.accept(r, "successfully put registries")
}
