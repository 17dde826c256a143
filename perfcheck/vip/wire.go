package vip

import "encoding/binary"

// A question is the token and a number; an answer is the question and who
// answers.
const (
	questionSize = 16
	answerSize   = questionSize + 1
)

func question(token, number uint64) []byte {
	b := make([]byte, questionSize)
	binary.BigEndian.PutUint64(b, token)
	binary.BigEndian.PutUint64(b[8:], number)
	return b
}

// readQuestion tells whether a datagram is one of ours.
func readQuestion(b []byte, token uint64) bool {
	return len(b) == questionSize && binary.BigEndian.Uint64(b) == token
}

// readAnswer reads who answers which question.
func readAnswer(b []byte, token uint64) (number uint64, holder int, ok bool) {
	if len(b) != answerSize || binary.BigEndian.Uint64(b) != token || b[questionSize] == 0 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b[8:]), int(b[questionSize]), true
}
