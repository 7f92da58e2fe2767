package luks2

func (h *Header) reencryptKeyslot() (Keyslot, bool) {
	for _, s := range h.meta.keyslots {
		if s.Type == "reencrypt" {
			return s, true
		}
	}
	return Keyslot{}, false
}

const maxDigestString = 64

type Reencryption struct{}

func (h *Header) Reencryption(int64) (*Reencryption, error) { return nil, nil }
