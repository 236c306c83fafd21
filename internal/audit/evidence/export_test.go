package evidence

// Rezipped is a pack with other content in one of its files, and the zip as it should be around it.
func Rezipped(pack []byte, name, data string) ([]byte, error) {
	files, err := unstored(pack)
	if err != nil {
		return nil, err
	}
	for i := range files {
		if files[i].name == name {
			files[i].data = []byte(data)
		}
	}
	return stored(files)
}
