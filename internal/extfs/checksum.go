package extfs

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c continues a CRC-32C the way ext4 stores it: without the inversion at
// either end that hash/crc32 adds.
func crc32c(crc uint32, data []byte) uint32 {
	return ^crc32.Update(^crc, castagnoli, data)
}

// crc16 continues the CRC-16 (polynomial 0x8005, bits reversed) that guards group
// descriptors under the uninit_bg feature.
func crc16(crc uint16, data []byte) uint16 {
	for _, b := range data {
		crc ^= uint16(b)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low != 0 {
				crc ^= 0xA001
			}
		}
	}
	return crc
}
