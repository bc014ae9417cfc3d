"""Wrong variants of the embedded server: where it lives, and what it leaves."""

from property_tests.mutants.mutant import Mutant

PLACE = "redis_state/engine/_place.py"
TESTS = "tests/engine/test_embedded_places.py::"

PLACES = (
    Mutant(
        name="embedded/any-directory-is-ours",
        file=PLACE,
        text="if not (_marked(place, mark) or not os.listdir(place) or _marked(place, mark)):",
        wrong="if False:",
        why="a server moves into a directory that holds files of its user",
        caught_by=TESTS + "test_a_directory_with_anything_in_it_is_refused_and_left_alone",
    ),
    Mutant(
        name="embedded/a-file-with-words-is-a-mark",
        file=PLACE,
        text="return stat.S_ISREG(found.st_mode) and found.st_size == 0",
        wrong="return True",
        why="whatever has the name of the mark is taken for it, and removed",
        caught_by=TESTS + "test_a_directory_with_anything_in_it_is_refused_and_left_alone",
    ),
    Mutant(
        name="embedded/parents-are-not-looked-at",
        file=PLACE,
        text="if _others_write(found) and not found.st_mode & stat.S_ISVTX:",
        wrong="if False:",
        why="others can put a directory of their own in the place of a server's",
        caught_by=TESTS + "test_a_parent_that_others_could_write_to_is_refused_unless_it_is_sticky",
    ),
    Mutant(
        name="embedded/looked-at-once",
        file="redis_state/engine/embedded.py",
        text="if not is_still(use.directory, use.place):",
        wrong="if False:",
        why="a directory that was put in the place of a server's is trusted",
        caught_by=TESTS + "test_a_directory_that_is_replaced_while_it_is_in_use_is_not_trusted",
    ),
    Mutant(
        name="embedded/saves-where-it-lives",
        file="redis_state/engine/_supervisor.py",
        text="        leave_for_nothing(place)\n",
        wrong="",
        why="a client's SAVE leaves a file, and the directory is refused the next time",
        caught_by=TESTS + "test_a_client_that_saves_leaves_no_file",
    ),
    Mutant(
        name="embedded/a-failed-start-leaves-its-files",
        file="redis_state/engine/embedded.py",
        text="                    clear(place",
        wrong="                    str(place",
        why="what a start made stays when it fails",
        caught_by="tests/engine/test_embedded.py::test_no_server_anywhere_is_one_error_that_names_the_ways_out",
    ),
)
