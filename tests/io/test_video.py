import re
import struct
import tracemalloc
import warnings

import cv2
import numpy as np
import pytest
from restamped import restamp, time_scale
from small_videos import greys, write_frames

from simspine.core.errors import InputError
from simspine.io.mp4 import fault_of_header, packet_stamps
from simspine.io.video import Video, check_synchronised, frame_times, frames_at_rate, open_video, open_videos

WIDTH, HEIGHT = 96, 64


def write_video(path, frames=12, rate=50.0, size=(WIDTH, HEIGHT), noise=False):
    """A grey ramp over time (frame k has level 10 + 8 k), so that frames can be told apart after compression."""
    images, rng = greys(size, (10 + 8 * k % 240 for k in range(frames))), np.random.default_rng(0)
    images = [rng.integers(0, 255, image.shape, np.uint8) if noise else image for image in images]
    return write_frames(path, images, rate, "MJPG" if path.suffix == ".avi" else "mp4v")


def test_metadata_and_frames_in_order(tmp_path):
    video = open_video(write_video(tmp_path / "cam01.mp4", frames=12, rate=50))
    assert (video.size, video.frames, video.name) == ((WIDTH, HEIGHT), 12, "cam01")
    assert video.rate == pytest.approx(50)
    levels = [image.mean() for image in video]
    assert levels[0] == pytest.approx(10, abs=4)  # studio-range grey
    assert np.diff(levels) == pytest.approx(8, abs=2)
    assert len(levels) == 12
    assert len(list(video)) == 12  # a video can be read again


@pytest.mark.parametrize(("box", "at"), [(b"tkhd", 44), (b"mvhd", 40)])
@pytest.mark.parametrize("matrix", [(-1, 0, 0, 0, 1), (1, 0, 0, 0, -1), (0, 1, 0, 1, 0), (0, -1, 0, -1, 0)])
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_mirrored_images_are_refused(tmp_path, box, at, matrix, ending):
    """By the determinant, whatever the rotation with it; OpenCV would only turn the images."""
    path = write_video(tmp_path / f"selfie.{ending}")
    data = bytearray(path.read_bytes())
    struct.pack_into(">5i", data, data.find(box) + at, *(65536 * value for value in matrix))
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"should mirror its images.*ffmpeg -i selfie") as refused:
        open_video(path)
    assert "\n" not in str(refused.value)


def mirrored(data: bytearray) -> None:
    struct.pack_into(">5i", data, data.find(b"tkhd") + 44, -65536, 0, 0, 0, 65536)


def grown(data: bytearray, parents: tuple[bytes, ...], extra: bytes) -> None:
    """More bytes at the end of the last of these boxes; the header is behind the images, whose places stay."""
    start = data.find(parents[-1]) - 4
    end = start + struct.unpack_from(">I", data, start)[0]
    for at in (data.find(box) - 4 for box in parents):
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(extra))
    data[end:end] = extra


def test_mirrored_images_are_refused_however_their_header_is_laid_out(tmp_path):
    plain = write_video(tmp_path / "plain.mp4").read_bytes()
    for extra in (8, 3000):
        data = bytearray(plain)
        mirrored(data)
        grown(data, (b"moov", b"trak", b"tkhd"), bytes(extra))
        (tmp_path / f"{extra}.mp4").write_bytes(data)
    data = bytearray(plain)
    mirrored(data)
    moov = data.find(b"moov") - 4
    data[moov : moov + 8] = struct.pack(">I4sQ", 1, b"moov", len(plain) - moov + 8)
    (tmp_path / "long.mp4").write_bytes(data)
    for name in ("8.mp4", "3000.mp4", "long.mp4"):
        assert cv2.VideoCapture(str(tmp_path / name)).read()[0]
        with pytest.raises(InputError, match="should mirror its images"):
            open_video(tmp_path / name)


@pytest.mark.parametrize(("place", "factor"), [(4, 2), (4, 0.5), (0, 0.5)])
def test_a_damaged_table_of_times_is_noticed(tmp_path, place, factor):
    """Twice the rate, half of it, and half of the frames; the track still states its length."""
    path = write_video(tmp_path / "a.mp4", frames=12)
    data = bytearray(path.read_bytes())
    at = data.find(b"stts") + 12 + place
    struct.pack_into(">I", data, at, round(struct.unpack_from(">I", data, at)[0] * factor))
    path.write_bytes(data)
    with pytest.raises(InputError, match="states two lengths"):
        open_video(path)


@pytest.mark.parametrize(("factor", "wrong"), [(2, True), (4, True), (1, False)])
def test_a_frame_rate_that_the_movies_length_contradicts(tmp_path, factor, wrong):
    """The clock of the track alone runs faster: its own times still add up."""
    path = write_video(tmp_path / "a.mp4", frames=60)
    data = bytearray(path.read_bytes())
    at = data.find(b"mdhd") + 16
    struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] * factor)
    path.write_bytes(data)
    assert ("states two lengths" in fault_of_header(path)) == wrong


@pytest.mark.parametrize(
    ("edits", "wrong"),
    [
        ([(500, -1, 1), (1200, 0, 1)], False),  # the track begins half a second later
        ([(300, 20, 1)], False),  # its end is cut off
        ([(4800, 0, 0.25)], False),  # shown four times as slowly
        ([(4800, 0, 1)], True),
    ],
)
def test_edits_of_a_movie_are_no_fault(tmp_path, edits, wrong):
    path = write_video(tmp_path / "a.mp4", frames=60)  # 1.2 s
    data = path.read_bytes()
    at = data.find(b"elst") - 4
    assert data[at:].startswith(struct.pack(">I4sIIIiI", 28, b"elst", 0, 1, 1200, 0, 1 << 16))
    entries = b"".join(struct.pack(">IiI", length, start, int(speed * 65536)) for length, start, speed in edits)
    path.write_bytes(data[: at + 8] + struct.pack(">II", 0, len(edits)) + entries + data[at + 28 :])
    assert ("states two lengths" in fault_of_header(path)) == wrong


@pytest.mark.parametrize("header", [b"mdhd", b"mdhdvide", b"mdhd" + bytes(9) + b"videmdhd", b"tkhd", b"mdhdvidestts"])
def test_a_header_of_pieces_is_no_fault_of_its_own(tmp_path, header):
    path = tmp_path / "a.mp4"
    path.write_bytes(struct.pack(">I4s", len(header) + 16, b"moov") + header + bytes(8))
    assert fault_of_header(path) == ""


def avi_without_a_frame(path, gap):
    """Frame 30 of 60 is not there; gap: an empty chunk is in its place, as recorders write it."""
    data = bytearray(write_video(path, frames=60).read_bytes())
    entry = data.find(b"idx1") + 8 + 16 * 30
    chunk = data.find(b"movi") + struct.unpack_from("<I", data, entry + 8)[0]
    assert data[chunk : chunk + 4] == b"00dc"
    if gap:
        data[entry + 12 : entry + 16] = data[chunk + 4 : chunk + 8] = bytes(4)
    else:
        data[entry : entry + 4] = data[chunk : chunk + 4] = b"JUNK"
    path.write_bytes(data)
    return path


def test_an_avi_file_that_lacks_a_frame_is_never_read_as_whole(tmp_path):
    whole = open_video(write_video(tmp_path / "whole.avi", frames=60))
    for gap, text in ((True, "uneven frame rate"), (False, "announces 60 frames and holds 59")):
        video = open_video(avi_without_a_frame(tmp_path / "lost.avi", gap))
        with pytest.raises(InputError, match=text):
            check_synchronised([whole, video])


def test_images_at_frames_asked_for(tmp_path):
    video = open_video(write_video(tmp_path / "cam01.mp4", frames=12))
    levels = [image.mean() for image in video.shown_at([2, 3, 3, 7, 11, 12, 13])]
    assert levels == pytest.approx([10 + 8 * k for k in (2, 3, 3, 7, 11)], abs=5)  # the video ends before the last two


def test_decoding_that_stops_early_names_both_numbers(tmp_path):
    path = write_video(tmp_path / "cut.avi", frames=30, noise=True)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    video = open_video(path)
    assert video.frames == 30
    seen = []
    with pytest.raises(InputError, match=r"cut\.avi announces 30 frames, but only (\d+)") as fault:
        seen.extend(image.shape for image in video)
    assert f"only {len(seen)} " in str(fault.value)
    assert 5 < len(seen) < 25


def test_unreadable_files_name_themselves(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    truncated = write_video(tmp_path / "truncated.mp4", noise=True)
    truncated.write_bytes(truncated.read_bytes()[:5000])  # the index at the end is gone
    good, empty = write_video(tmp_path / "good.mp4"), tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(InputError) as fault:
        open_videos([tmp_path / "text.mp4", good, truncated, empty, tmp_path / "absent.mp4"])
    message = str(fault.value)
    assert "text.mp4 cannot be opened" in message
    assert "truncated.mp4 cannot be opened" in message
    assert "empty.mp4" in message
    assert "absent.mp4: no such file" in message
    assert "good.mp4" not in message


def test_a_video_without_frames(tmp_path):
    path = tmp_path / "empty.avi"
    cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 50, (WIDTH, HEIGHT)).release()
    with pytest.raises(InputError, match=r"empty\.avi"):
        open_video(path)


def test_reading_holds_one_frame_at_a_time(tmp_path):
    """Python-side memory of a long video stays below a few frames (NumPy reports its buffers to tracemalloc)."""
    size = (320, 240)
    video = open_video(write_video(tmp_path / "long.avi", frames=120, size=size))
    one = size[0] * size[1] * 3
    tracemalloc.start()
    try:
        for _ in video:
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert one <= peak < 4 * one


def test_a_clock_taken_for_a_frame_rate_is_refused(tmp_path):
    """Some recorders state the ticks of their clock, thousands a second."""
    with pytest.raises(InputError, match=r"fast\.mp4 states 20000"):
        open_video(write_video(tmp_path / "fast.mp4", rate=20_000))


def _video(name, frames=100, rate=60.0, size=(1080, 1920)):
    from pathlib import Path

    return Video(Path(name), size, rate, frames)


def test_rates_may_differ_by_a_thousandth_and_lengths_where_that_is_known():
    """59.94 beside 59.9401 frames/s is a header's last digit; half of a thousandth is half a frame in 1000."""
    check_synchronised([_video("a.mp4", rate=59.94), _video("b.mp4", rate=59.9401)])
    check_synchronised([_video("a.mp4", rate=60.0), _video("b.mp4", rate=60.059)])
    with pytest.raises(InputError, match=r"frame rates differ \(60 to 60\.061 frames/s\)"):
        check_synchronised([_video("a.mp4", rate=60.0), _video("b.mp4", rate=60.061)])
    with pytest.raises(InputError, match=r"frame rates differ \(60 to 60\.03 frames/s\)") as fault:
        check_synchronised([_video("a.mp4", 1200, 60.0), _video("b.mp4", 1200, 60.03)])
    assert "resample: 0" not in str(fault.value)  # which does not say what rate is right
    check_synchronised([_video("a.mp4", 900, 60.0), _video("b.mp4", 900, 60.03)])
    check_synchronised([_video("a.mp4"), _video("b.mp4", frames=97)], lengths_agree=False)
    with pytest.raises(InputError, match="lengths differ"):
        check_synchronised([_video("a.mp4"), _video("b.mp4", frames=97)])


def test_rates_of_views_whose_delays_are_known_may_differ_by_a_hundredth():
    """29.97 beside 30 frames/s; 25 beside 30 is another film."""
    videos = [_video("a.mp4", 1800, 30.0), _video("b.mp4", 1798, 30000 / 1001)]
    check_synchronised(videos, lengths_agree=False, delayed=True)
    with pytest.raises(
        InputError, match=r"rates differ \(29\.97 to 30 frames/s\)(?s:.*)With `delays: find` .* the drift"
    ):
        check_synchronised(videos, lengths_agree=False)
    with pytest.raises(InputError, match=r"frame rates differ \(25 to 30"):
        check_synchronised([videos[0], _video("b.mp4", 1500, 25.0)], lengths_agree=False, delayed=True)


def test_all_faults_of_synchronisation_in_one_message():
    videos = [_video("cam1.mp4"), _video("cam2.mp4", frames=97), _video("cam3.mp4", rate=50)]
    with pytest.raises(InputError) as fault:
        check_synchronised(videos)
    message = str(fault.value)
    assert "lengths differ (97 to 100 frames) and their frame rates differ (50 to 60" in message
    for row in ("cam1.mp4     100    60.000  1080×1920", "cam2.mp4      97", "cam3.mp4     100    50.000"):
        assert row in message
    assert "`delays: find`" in message
    assert "ffmpeg -r" in message
    with pytest.raises(InputError, match="no videos"):
        check_synchronised([])


def restamped(path, milliseconds, frames=24, rate=25.0):
    """A video whose frames are shown for other times than its rate says, from frame 6 on."""
    write_video(path, frames=frames, rate=rate)
    ticks = time_scale(path) / 1000
    usual = [round(ticks * 1000 / rate)] * frames
    usual[6 : 6 + len(milliseconds)] = [round(ticks * step) for step in milliseconds]
    restamp(path, usual)
    return path


def test_time_stamps_are_read_from_the_container(tmp_path):
    times = frame_times(restamped(tmp_path / "a.mp4", [80, 40, 120]))
    np.testing.assert_allclose(np.diff(times)[:10], np.r_[[0.04] * 6, 0.08, 0.04, 0.12, 0.04], atol=1e-3)


@pytest.mark.parametrize(
    ("milliseconds", "steps"),
    [([80], "40 to 80"), ([40, 200], "40 to 200"), ([60] * 16, "40 to 60"), ([20] * 16, "20 to 40")],
)
def test_an_uneven_rate_is_refused_with_its_cures(tmp_path, milliseconds, steps):
    """One frame that was dropped, a pause, a phone in the dark, a phone that gets faster."""
    fastest = 50 if milliseconds[0] == 20 else 25
    videos = open_videos([write_video(tmp_path / "even.mp4", 24, 25), restamped(tmp_path / "b.mp4", milliseconds)])
    message = rf"b\.mp4 has an uneven frame rate.*steps of {steps} ms(?s:.*)resample: {fastest}.*resample: 0"
    with pytest.raises(InputError, match=message):
        check_synchronised(videos, lengths_agree=False)
    check_synchronised([videos[0], videos[0]])


def test_jitter_of_a_clock_is_no_fault(tmp_path):
    jitter = np.random.default_rng(3).integers(-4, 5, 18)
    steps = 40 + np.diff(np.r_[0, jitter])
    video = open_video(restamped(tmp_path / "a.mp4", steps.tolist()))
    check_synchronised([video, video])


def test_a_stated_rate_that_its_time_stamps_contradict(tmp_path):
    path = write_video(tmp_path / "a.mp4", 24, 25)
    video = open_video(path)
    with pytest.raises(InputError, match=r"states 30 frames/s, its time stamps 25"):
        check_synchronised([Video(path, video.size, 30.0, 24)])


@pytest.mark.parametrize(("taken", "named"), [(240.0, True), (120.0, True), (60.0, False), (30.0, False)])
def test_slow_motion_is_named(tmp_path, taken, named):
    """As Android's MediaRecorder states it. A phone that takes 60 frames/s takes 30 in the dark."""
    path = write_video(tmp_path / "a.mp4", 24, 30)
    keys = b"keys" + struct.pack(">III", 0, 1, 31) + b"mdtacom.android.capture.fps"
    box = keys + struct.pack(">I4sIII4sIIf", 36, b"ilst", 28, 1, 20, b"data", 23, 0, taken)
    path.write_bytes(path.read_bytes() + struct.pack(">I4s", 8 + len(box), b"meta") + box)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert open_video(path).rate == 30
    words = f"taken at {taken:g} frames/s and stamped at 30, so all is {taken / 30:g} times too slow"
    assert [words in str(one.message) for one in said] == [True] * named


def test_frames_by_time_stamps(tmp_path):
    """At 50 frames/s from 25: every second instant lies between two frames; in a pause of 0.2 s there is none."""
    (places,) = frames_at_rate([open_video(restamped(tmp_path / "a.mp4", [80, 200]))], 50.0)
    expected = [*np.arange(0, 6.1, 0.5), 6.25, 6.5, 6.75, 7, *[np.nan] * 9, 8, 8.5, 9]
    np.testing.assert_allclose(places[: len(expected)], expected, atol=1e-6)


def test_resampling_makes_up_for_rates_that_differ(tmp_path):
    """29.97 beside 30 frames/s, and one that ends later than the other."""
    a, b = (write_video(tmp_path / f"{name}.mp4", 40, rate) for name, rate in (("a", 30000 / 1001), ("b", 30)))
    with pytest.raises(InputError, match=r"frame rates differ \(29\.97 to 30 frames/s\)(?s:.*)resample: 30"):
        check_synchronised(open_videos([a, b]))
    check_synchronised(open_videos([a, b]), resample=30.0)
    late = open_videos([a, write_video(tmp_path / "c.mp4", 60, 30)])
    with pytest.raises(InputError, match="lengths differ"):
        check_synchronised(late, resample=30.0)
    check_synchronised(late, lengths_agree=False, resample=30.0)


def test_nothing_is_resampled_without_time_stamps(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(InputError, match="no usable time stamps"):
        frames_at_rate([Video(path, (4, 4), 25.0, 10)], 25.0)


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile a.mp4\n", "#EXTM3U\na.mp4\n", "ffconcat version 1.0\n#\udcff"]
)
def test_texts_that_name_other_videos_are_refused(tmp_path, text):
    """FFmpeg would play those; and checksums would be of the text."""
    write_video(tmp_path / "a.mp4", 24, 25)
    (tmp_path / "list.mp4").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"list\.mp4 cannot be opened as a video: it is a text file"):
        open_video(tmp_path / "list.mp4")


def announcing(path, frames):
    """The AVI file with another number of frames in its head, and without its index."""
    content = bytearray(path.read_bytes())
    for name, place in ((b"avih", 16), (b"strh", 32)):
        struct.pack_into("<I", content, content.index(name) + 8 + place, frames)
    path.write_bytes(content.replace(b"idx1", b"JUNK"))
    return path


def test_more_frames_than_bytes_are_refused(tmp_path):
    """Arrays of so many frames would fill the memory."""
    path = write_video(tmp_path / "a.avi", frames=3)
    with pytest.raises(InputError, match=r"announces 20000000 frames in \d+ bytes"):
        open_video(announcing(path, 20_000_000))
    assert open_video(announcing(path, 3)).frames == 3


def test_images_larger_than_the_file_can_hold_are_refused(tmp_path):
    content = bytearray(write_video(tmp_path / "a.avi", frames=3).read_bytes())
    struct.pack_into("<IIHHI", content, content.index(b"strf") + 12, 16_000, 16_000, 1, 8, 1)  # run lengths of 8 bits
    (tmp_path / "b.avi").write_bytes(content)
    with pytest.raises(InputError, match=r"b\.avi: announces 768 MB"):
        open_video(tmp_path / "b.avi")


@pytest.mark.parametrize("rate", [1e12, 1e6, 1100.0])
def test_resampling_that_makes_too_many_frames_is_refused(tmp_path, rate):
    video = open_video(write_video(tmp_path / "a.mp4", 24, 25))
    with pytest.raises(InputError, match=r"24 frames in 0\.92 s, too few for 1\S+ frames/s"):
        frames_at_rate([video], rate)
    assert len(frames_at_rate([video], 1000.0)[0]) == 921


def test_a_frame_within_a_video_that_cannot_be_decoded_is_no_shift_of_later_ones(tmp_path):
    """Decoders leave out an image of MPEG-4 or HEVC whose header is damaged: one of 40, no more than may lack at the
    end. A pause is no damage."""
    path = write_video(tmp_path / "a.mp4", 40, 25)
    content = bytearray(path.read_bytes())
    images = [match.start() for match in re.finditer(b"\0\0\1\xb6", content)]
    content[images[20] + 4 : images[20] + 8] = bytes(4)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    assert len(list(open_video(path))) == 40
    for read in (list, lambda video: list(video.at([30])), lambda video: list(video.shown_at([30]))):
        with pytest.raises(InputError, match=r"damaged\.mp4: the image at 0\.800 s is missing, or cannot be decoded"):
            read(open_video(damaged))
    assert len(list(open_video(restamped(tmp_path / "b.mp4", [80, 200])))) > 8


@pytest.mark.parametrize("rate", [25, 50])
def test_a_whole_program_stream_is_read_although_images_share_a_time_stamp(tmp_path, rate):
    noise = np.random.default_rng(0).integers(0, 20, (96, 128, 3))
    path = write_frames(tmp_path / "a.mpg", [(noise + k).astype(np.uint8) for k in range(120)], rate, "mpg2")
    assert len(list(open_video(path))) == 120


def test_images_lost_from_a_program_stream_are_no_shift_of_later_ones(tmp_path):
    """Where a packet of MPEG-2 holds several images, some have no time stamp, and gaps are seen in decoding only."""
    noise, levels = np.random.default_rng(0).integers(0, 20, (96, 128, 3)), np.linspace(20, 200, 40).round()
    path = write_frames(tmp_path / "a.mpg", [(noise + level).astype(np.uint8) for level in levels], 25, "mpg2")
    content, pack, refused = path.read_bytes(), 2048, 0
    assert len(frame_times(path)) == 0
    assert len(list(open_video(path))) == 40
    for start in range(2 * pack, len(content) - 3 * pack, pack):
        lost = tmp_path / "lost.mpg"
        lost.write_bytes(content[:start] + content[start + pack :])
        try:
            images = list(open_video(lost))
        except InputError:
            refused += 1
        else:
            assert images[-1].mean() == pytest.approx(noise.mean() + levels[len(images) - 1], abs=3)
    assert refused > 5


def test_pauses_of_views_read_side_by_side_are_looked_up_once(tmp_path):
    """Each look takes as long as reading the file. Eight cameras that drop frames now and then."""
    videos = open_videos([restamped(tmp_path / f"cam{k}.mp4", [80, 200, 120]) for k in range(8)])
    packet_stamps.cache_clear()
    assert sum(1 for _ in zip(*videos, strict=True)) == 24
    assert packet_stamps.cache_info().misses == 8
