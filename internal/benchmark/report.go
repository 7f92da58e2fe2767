package benchmark

import "time"

// Report is everything that was measured; its JSON is the face for machines.
type Report struct {
	Ciphers  []Cipher `json:"ciphers"` // of each name and sector size, the first is what a run takes
	PBKDF2   []PBKDF2 `json:"pbkdf2"`
	Argon2id Argon2id `json:"argon2id"`
	Hashes   []Hash   `json:"hashes"`
}

// Run measures everything, each for about d.
func Run(d time.Duration) (r Report, err error) {
	if r.Ciphers, err = Ciphers(d); err != nil {
		return Report{}, err
	}
	for _, name := range []string{"sha256", "sha512"} {
		k, err := MeasurePBKDF2(name, d)
		if err != nil {
			return Report{}, err
		}
		h, err := MeasureHash(name, d)
		if err != nil {
			return Report{}, err
		}
		r.PBKDF2, r.Hashes = append(r.PBKDF2, k), append(r.Hashes, h)
	}
	r.Argon2id = MeasureArgon2id()
	return r, nil
}
