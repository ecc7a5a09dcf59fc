package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// A segment is a file: this line, then records to its end.
const magic = "moesif-spool v1\n"

// magicAny begins the segments of all versions.
const magicAny = "moesif-spool v"

// A record is a header and an event. The header, little endian: the event's length (4 bytes), the event's CRC-32C (4), its
// number (8), when it entered in Unix milliseconds (8), the CRC-32C of the header up to here (4). The numbers of a folder's
// events follow one another, so that a gap tells how many are lost. JSON text has no NUL byte, every header has one: an
// event cannot look like a record.
const headerSize = 28

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // read-only

type record struct {
	number uint64
	at     time.Time
	event  []byte
}

// recordSize is what an event takes on disk.
func recordSize(event []byte) int { return headerSize + len(event) }

func appendRecord(b []byte, r record) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.event)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(r.event, castagnoli))
	b = binary.LittleEndian.AppendUint64(b, r.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.at.UnixMilli()))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return append(b, r.event...)
}

var (
	errShort  = errors.New("the record goes on")
	errHeader = errors.New("damaged header")
	errEvent  = errors.New("damaged event")
)

// parse reads the record that b begins with, and its size. With errShort, size is how many bytes it takes to go on; with
// errEvent, the record is whole but for its event. The event is a part of b.
func parse(b []byte) (r record, size int, err error) {
	if len(b) < headerSize {
		return record{}, headerSize, errShort
	}
	if crc32.Checksum(b[:headerSize-4], castagnoli) != binary.LittleEndian.Uint32(b[headerSize-4:]) {
		return record{}, 0, errHeader
	}
	size = headerSize + int(binary.LittleEndian.Uint32(b))
	r.number = binary.LittleEndian.Uint64(b[8:])
	r.at = time.UnixMilli(int64(binary.LittleEndian.Uint64(b[16:])))
	if len(b) < size {
		return r, size, errShort
	}
	r.event = b[headerSize:size:size]
	if crc32.Checksum(r.event, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		r.event = nil
		return r, size, errEvent
	}
	return r, size, nil
}

// resync returns where the next header that could be one begins, or where the search has to go on with more bytes.
func resync(b []byte) int {
	i := 0
	for ; i+headerSize <= len(b); i++ {
		if _, _, err := parse(b[i : i+headerSize]); err != errHeader {
			return i
		}
	}
	return i
}
