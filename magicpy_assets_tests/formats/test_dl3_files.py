"""Which files belong to a folder of DL3: those that are whole, and not what is being made beside them."""

from magicpy_assets.formats.dl3_files import files


def test_what_is_still_being_made_is_in_no_index(tmp_path):
    hidden = tmp_path / ".making-it" / "20201116_05093118_DL3_CrabNebula-W0.40+035.fits"
    hidden.parent.mkdir()
    hidden.write_bytes(b"half a file")
    whole = tmp_path / hidden.name
    whole.write_bytes(b"")
    assert files(tmp_path) == [whole]
